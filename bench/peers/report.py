"""The results as a table."""
import math

from peers.cases import Case

LARGE = 4096  # tokens from which a case counts in the geometric means: below, latency is measured
RATIOS = {  # the faster of the two copies is the floor
    "libqkjit/copy %": lambda us: 100 * us["libqkjit"] / min(us[name] for name in ("copy", "copy.cs") if name in us),
    "sglang/libqkjit": lambda us: us["sglang"] / us["libqkjit"],
    "split/libqkjit": lambda us: us["split"] / us["libqkjit"],
}


def ratios(outcomes: dict[str, dict]) -> dict[str, float]:
    """Those that this case's times allow; a wrong result is no time."""
    us = {name: outcome["us"] for name, outcome in outcomes.items() if "us" in outcome}
    found = {}
    for name, ratio in RATIOS.items():
        try:
            found[name] = ratio(us)
        except (KeyError, ValueError):  # a contender is missing, or both copies
            pass
    return found


def geometric_means(results: dict[Case, dict]) -> dict[str, float]:
    of_cases = [ratios(outcomes) for case, outcomes in results.items() if case.tokens >= LARGE]
    means = {}
    for name in RATIOS:
        values = [found[name] for found in of_cases if name in found]
        if values:
            means[name] = math.exp(sum(map(math.log, values)) / len(values))
    return means


def cell(outcome: dict) -> str:
    if "us" in outcome:
        return f"{outcome['us']:.{2 if outcome['us'] < 100 else 1}f}"
    return "-" if outcome.get("correct", True) else "wrong"


def ratio_cells(found: dict[str, float]) -> list[str]:
    return [(f"{found[name]:.1f}" if name.endswith("%") else f"{found[name]:.2f}") if name in found else "-"
            for name in RATIOS]


def table(results: dict[Case, dict], names: list[str], markdown: bool) -> str:
    rows = [["tokens x (q+k)", *names, *RATIOS]]
    for case, outcomes in results.items():
        rows.append([case.label, *(cell(outcomes[name]) for name in names), *ratio_cells(ratios(outcomes))])
    rows.append([f"geometric mean, {LARGE}+", *("" for _ in names), *ratio_cells(geometric_means(results))])
    if markdown:
        rows.insert(1, ["---"] + ["---:"] * (len(rows[0]) - 1))
        return "\n".join("| " + " | ".join(row) + " |" for row in rows)
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows)


def remarks(results: dict[Case, dict], absent: dict[str, str]) -> list[str]:
    """What the table's cells do not say."""
    lines = [f"{name}: absent, {reason}" for name, reason in absent.items()]
    reasons: dict[tuple[str, str], list[str]] = {}
    errors: dict[str, float] = {}
    spreads = []
    for case, outcomes in results.items():
        for name, outcome in outcomes.items():
            if "reason" in outcome:
                reasons.setdefault((name, outcome["reason"]), []).append(case.label)
            if "max_abs_error" in outcome:
                errors[name] = max(errors.get(name, 0.0), outcome["max_abs_error"])
            if "us" in outcome:
                spreads.append(((outcome["max_us"] - outcome["min_us"]) / outcome["us"], name, case.label))
    lines += [f"{name}: {reason} ({', '.join(labels)})" for (name, reason), labels in reasons.items()]
    if errors:
        lines.append("largest error against float64: " + ", ".join(f"{n} {e:.3g}" for n, e in errors.items()))
    if spreads:
        spread, name, label = max(spreads)
        lines.append(f"largest spread of the replays, (max - min) / median: {100 * spread:.1f} % ({name}, {label})")
    return lines
