"""What the page of a name shows is what a sidecar answers to dig."""

import ipaddress
import random
import re

_NAMES = 1000
_HEAD = re.compile(r";; ->>HEADER<<- opcode: QUERY, status: (\w+)")


def _questions(service) -> set:
    """Of a client that knows the Service, whatever the page says."""
    asked = {(service.dns, "A"), (service.dns, "AAAA")}
    if service.alias:
        return asked | {(service.dns, "CNAME")}
    for name, protocol, _ in service.ports:
        if name:
            asked.add((f"_{name}._{protocol.lower()}.{service.dns}", "SRV"))
    addresses = list(service.cluster_ips)
    for endpoint in service.endpoints:
        addresses += endpoint.addresses
        for address in endpoint.addresses if service.headless else ():
            kind = "AAAA" if ":" in address else "A"
            label = endpoint.hostname or re.sub(r"[.:]", "-", address)
            asked.add((f"{label}.{service.dns}", kind))
    return asked | {(f"{ipaddress.ip_address(address).reverse_pointer}.", "PTR") for address in addresses}


def _parse(text: str) -> dict:
    """By name and type: the rcode, and the records of the answer."""
    replies, status, section, question = {}, "", "", None
    for line in text.splitlines():
        head = _HEAD.match(line)
        if head:
            status, section, question = head.group(1), "", None
        elif line.startswith(";; "):
            section = line
        elif section.startswith(";; QUESTION") and line.startswith(";"):
            name, _, kind = line[1:].split()
            question = (name, kind)
            replies[question] = (status, set())
        elif section.startswith(";; ANSWER") and line:
            owner, ttl, _, kind, data = line.split(None, 4)
            replies[question][1].add((owner, int(ttl), kind, data))
    return replies


def _led_to(question: tuple, records: list) -> set:
    """Those of the page's records that answer a question, aliases followed."""
    name, kind = question
    found = set()
    for _ in range(8):
        at = [(r["name"], r["ttl"], r["type"], r["data"]) for r in records if r["name"] == name]
        found |= {record for record in at if record[2] == kind}
        aliases = [record for record in at if record[2] == "CNAME" and kind in ("A", "AAAA")]
        if not aliases:
            break
        found |= set(aliases)
        name = aliases[0][3]
    return found


def test_a_thousand_names_lead_where_dig_says(running):
    chosen = random.Random(11).sample(running.services, _NAMES)
    pages = {service.dns: running.get(f"/api/v1/names/{service.namespace}/{service.name}") for service in chosen}
    asked = {}
    for service in chosen:
        questions = _questions(service) | {(r["name"], r["type"]) for r in pages[service.dns]["records"]
                                           if r["name"].endswith(service.dns) or r["type"] == "PTR"}
        asked[service.dns] = sorted(questions)
    every = sorted({question for questions in asked.values() for question in questions})
    replies = _parse(running.dig(every))
    assert len(replies) == len(every)

    faults, compared = [], 0
    for service in chosen:
        page = pages[service.dns]
        assert not page.get("recordsTruncated")
        for question in asked[service.dns]:
            status, answer = replies[question]
            # CoreDNS's way: an alias without an address of the type asked is shown to those alone who ask for it.
            nodata = any((one["name"], one["type"], one["answer"]) == (*question, "NODATA")
                         for one in page["noRecords"])
            shown = set() if nodata else _led_to(question, page["records"])
            compared += 1
            if shown != answer:
                faults.append(f"{service.kind} {question}: shown {sorted(shown)}, dig {status} {sorted(answer)}")
        for missing in page["noRecords"]:
            status, answer = replies[(missing["name"], missing["type"])]
            said = ("CNAME" if answer else "NODATA") if status == "NOERROR" else status
            if missing["answer"] != said or any(record[2] == missing["type"] for record in answer):
                faults.append(f"{service.kind} {missing}: dig says {status} {sorted(answer)}")
    assert not faults, f"{len(faults)} of {compared}:\n" + "\n".join(faults[:20])
    assert compared > 3 * _NAMES
    print(f"{compared} questions of {_NAMES} names agree")
