"""The results as a table: a line a rung, for each shape its time and that in per cent of the copy's."""
from peers.cases import Case
from peers.report import cell


def percent_of_copy(name: str, outcomes: dict[str, dict]) -> float | None:
    """Of the faster of the two copies, which is the floor; a wrong result has no time."""
    copies = [outcomes[copy]["us"] for copy in ("copy", "copy.cs") if "us" in outcomes.get(copy, {})]
    return 100 * outcomes[name]["us"] / min(copies) if copies and "us" in outcomes[name] else None


def table(results: dict[Case, dict], figures: dict[str, dict], names: list[str]) -> str:
    rows = [["rung", "registers", "occupancy", *(text for case in results for text in (case.label, "of copy"))]]
    for name in names:
        known = figures.get(name)
        row = [name, *([str(known["registers"]), f"{known['possible_occupancy_percent']:.0f} %"] if known else "--")]
        for outcomes in results.values():
            percent = percent_of_copy(name, outcomes)
            row += [cell(outcomes[name]), "-" if percent is None else f"{percent:.1f} %"]
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows)
