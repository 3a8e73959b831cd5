"""How the figures of a bench are told."""


def spread(values):
    values = sorted(values)
    return values[int(len(values) * 0.1)], values[min(len(values) - 1, int(len(values) * 0.9))]


class Verdicts:
    """What was promised, and what was measured."""

    def __init__(self):
        self.rows, self.missed = [], False

    def add(self, what, value, limit, text="{:.2f}"):
        held = value is not None and value <= limit
        self.missed |= not held
        measured = "no answers" if value is None else text.format(value)
        self.rows.append((what, measured, text.format(limit), "held" if held else "MISSED"))

    def print(self):
        if not self.rows:
            return
        print(f"\n{'promise':<58}{'measured':>12}{'at most':>10}")
        for what, measured, limit, held in self.rows:
            print(f"{what:<58}{measured:>12}{limit:>10}  {held}")
