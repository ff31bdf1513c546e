"""What an executor of Airflow starts for one try of a task: the supervisor of the task SDK, with its child.

The last argument is JSON: the task instance, the server, the path of the log.
"""

from __future__ import annotations

import json
import sys

from airflow.sdk.api.datamodels._generated import BundleInfo, TaskInstance
from airflow.sdk.execution_time.supervisor import supervise_task

if __name__ == "__main__":
    words = json.loads(sys.argv[-1])
    code = supervise_task(
        ti=TaskInstance(**words["ti"]),
        bundle_info=BundleInfo(name="dags"),
        dag_rel_path="dag.py",
        token="none",
        server=words["server"],
        log_path=words["log"],
    )
    sys.exit(code)
