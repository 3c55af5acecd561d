"""Where work is carried out: in this process, in others, on a cluster, all shaped like `concurrent.futures`.

```python
with open_executor("processes") as executor:
    futures = [executor.submit(train, seed, on_call=show) for seed in range(60)]
    for future in concurrent.futures.as_completed(futures):
        keep(future.result())
```

What is submitted is a function of a module, and its arguments and result can be pickled. A function marked `remote`
can call back while it runs.
"""

from excise.executors.base import Executor
from excise.executors.inline import Inline
from excise.executors.opening import EXECUTORS, open_executor
from excise.executors.processes import Processes
from excise.executors.remote import CallBack, RemoteFunction, remote

__all__ = [
    "EXECUTORS",
    "CallBack",
    "Executor",
    "Inline",
    "Processes",
    "RemoteFunction",
    "open_executor",
    "remote",
]
