"""portolan-injector from outside."""
