"""Compiles, checks and times every contender in every case. A contender that fails costs one cell and no more."""
import gc
import sys
from concurrent.futures import ThreadPoolExecutor

import torch

from peers.cases import Case
from peers.contender import Contender
from peers.data import Data
from peers.registry import CONTENDERS, load
from peers.timing import microseconds

Outcomes = dict[str, dict]  # by contender


def one_line(error: BaseException) -> str:
    lines = (line.strip() for line in str(error).splitlines())
    return f"{type(error).__name__}: {next(filter(None, lines), '')}"[:200]


def load_all(options) -> tuple[dict[str, Contender], dict[str, str]]:
    """The contenders that are there, and why the others are not."""
    present, absent = {}, {}
    for name in (name for name in CONTENDERS if name in options.only):
        try:
            present[name] = load(name, options)
        except Exception as error:  # whatever a package's import raises
            absent[name] = one_line(error)
    return present, absent


def prepare_all(contenders: dict[str, Contender], cases: list[Case]) -> dict[tuple[str, Case], str]:
    """Runs the peers' compilers side by side; the reasons of those that fail."""
    jobs = [(name, case) for name, each in contenders.items() for case in cases if not each.refusal(case)]
    # A thread each: most of them only wait for the one that compiles the same kernel.
    with ThreadPoolExecutor(max_workers=max(1, len(jobs))) as pool:
        futures = [pool.submit(contenders[name].prepare, case) for name, case in jobs]
    return {job: one_line(future.exception()) for job, future in zip(jobs, futures) if future.exception()}


def time_all(contenders: dict[str, Contender], cases: list[Case]) -> tuple[dict[Case, Outcomes], str]:
    """The outcomes, and why they end early, if they do."""
    results: dict[Case, Outcomes] = {}
    failed = prepare_all(contenders, cases)
    for case in cases:
        print(f"timing {case.label}", file=sys.stderr)
        try:
            results[case] = time_case(case, contenders, failed)
        except RuntimeError as error:  # no memory for the data, or a kernel took the CUDA context with it
            return results, f"stopped at {case.label}: {one_line(error)}"
    return results, ""


def time_case(case: Case, contenders: dict[str, Contender], failed: dict[tuple[str, Case], str]) -> Outcomes:
    data, outcomes = Data(case), {}
    for name, contender in contenders.items():
        reason = contender.refusal(case) or failed.get((name, case))
        try:
            outcomes[name] = {"reason": reason} if reason else check_and_time(contender, case, data)
        except Exception as error:  # whatever a package raises
            outcomes[name] = {"reason": one_line(error)}
        gc.collect()
        torch.cuda.empty_cache()
    return outcomes


def check_and_time(contender: Contender, case: Case, data: Data) -> dict:
    data.reset()
    launches = contender.launches(case, data)
    result = launches[0]()
    outcome = data.check(*result) if contender.same_operation else {}
    if not outcome.get("correct", True):  # a fast wrong answer has no time
        return {**outcome, "reason": f"wrong in {outcome['wrong_elements']} elements"}
    return {**outcome, **microseconds(launches)}
