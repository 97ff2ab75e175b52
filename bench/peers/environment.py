"""Where and with what a result came about."""
import platform
import shlex
import subprocess
import sys
from datetime import datetime, timezone

import torch
import triton

from peers import data, timing
from peers.contender import Contender


def output(*command: str) -> str:
    """Of a tool that may be missing."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def environment(contenders: dict[str, Contender]) -> dict:
    device = torch.cuda.get_device_properties(0)
    return {
        "device": device.name,
        "multiprocessors": device.multi_processor_count,
        "l2_bytes": device.L2_cache_size,
        "driver": output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"),
        "torch": torch.__version__,
        "torch_cuda": torch.version.cuda,
        "triton": triton.__version__,
        "nvcc": output("nvcc", "--version").splitlines()[-1],
        "python": platform.python_version(),
        "packages": {name: version for each in contenders.values() for name, version in each.versions().items()},
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
        "method": {"dtype": "bfloat16", "rotated_bytes": data.ROTATED_BYTES, "table_rows": data.TABLE_ROWS,
                   "launches_at_least": timing.LAUNCHES, "replays": timing.REPLAYS, "atol": data.ATOL,
                   "rtol": data.RTOL, "statistic": "median of the replays, microseconds per launch"},
    }
