"""Runs a module in a process that dies with its parent: `tied_module PARENT MODULE ARGUMENTS...`.

`start.start_process` starts it: `python -m` this module, with the process id PARENT. MODULE sees its own
arguments and is `__main__`, as if it had been started by `python -m MODULE`.
"""

import runpy
import sys

from services.common.runtime.child.parent_death import die_with_parent

if __name__ == "__main__":
    die_with_parent(int(sys.argv.pop(1)))
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
