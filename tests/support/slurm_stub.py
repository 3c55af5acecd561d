"""The four commands of Slurm that submitit calls, carried out by processes of this machine."""

import os
import shutil
import sys
from pathlib import Path

_COMMON = f"""#!{sys.executable} -S
import os, re, signal, subprocess, sys
from pathlib import Path
home = Path(__file__).parent
"""

_SBATCH = """
script = Path(sys.argv[1])
text = script.read_text()
if "--partition=closed" in text:
    sys.exit("sbatch: error: invalid partition specified: closed")
number = len(list(home.glob("*.sh"))) + int(os.environ["SLURM_STUB_FIRST"])
kept = home / f"{number}.sh"
kept.write_text(text)
array = re.search(r"--array=0-(\\d+)", text)
for index in range(int(array.group(1)) + 1) if array else [None]:
    name = str(number) if index is None else f"{number}_{index}"
    env = {key: value for key, value in os.environ.items() if not key.startswith("SUBMITIT")}
    env["SLURM_JOB_ID"] = str(number)
    if index is not None:
        env |= {"SLURM_ARRAY_JOB_ID": str(number), "SLURM_ARRAY_TASK_ID": str(index)}
    again = f"if [ $code = 137 ] && [ -e {home}/requeue ]; then bash {kept}; code=$?; fi"
    log = open(home / f"{name}.log", "w")
    process = subprocess.Popen(
        ["sh", "-c", f"bash {kept}; code=$?; {again}; echo $code > {home}/{name}.code"],
        env=env, start_new_session=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
    )
    (home / f"{name}.pid").write_text(str(process.pid))
print(f"Submitted batch job {number}")
"""

_SRUN = """
args = sys.argv[1:]
while args and args[0].startswith("--"):
    option = args.pop(0)
    if option in ("--output", "--error"):
        path = args.pop(0).replace("%t", "0").replace("%j", os.environ["SLURM_JOB_ID"])
        path = path.replace("%A", os.environ["SLURM_JOB_ID"])
        path = path.replace("%a", os.environ.get("SLURM_ARRAY_TASK_ID", ""))
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1 if option == "--output" else 2)
os.execvp(args[0], args)
"""

_SACCT = """
print("JobID|State|NodeList")
for file in home.glob("*.pid"):
    code = file.with_suffix(".code")
    if file.with_suffix(".cancelled").exists():
        state = "CANCELLED by 0"
    elif not code.exists():
        state = "RUNNING"
    else:
        state = {"0": "COMPLETED", "137": "OUT_OF_MEMORY"}.get(code.read_text().strip(), "FAILED")
    print(f"{file.stem}|{state}|here")
"""

_SCANCEL = """
for name in sys.argv[1:]:
    (home / f"{name}.cancelled").touch()
    try:
        os.killpg(int((home / f"{name}.pid").read_text()), signal.SIGKILL)
    except ProcessLookupError:
        pass
"""


def write_commands(folder: Path) -> None:
    """Write the commands; put the folder in front of PATH."""
    for name, body in {"sbatch": _SBATCH, "srun": _SRUN, "sacct": _SACCT, "scancel": _SCANCEL}.items():
        command = folder / name
        command.write_text(_COMMON + body, encoding="utf-8")
        command.chmod(0o755)
    assert shutil.which("sbatch", path=os.fspath(folder))
