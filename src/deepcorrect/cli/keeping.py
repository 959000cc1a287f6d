"""The run folder of a command, and what it prints at its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deepcorrect.cli import invocation
from deepcorrect.cli.console import show_records, tell
from deepcorrect.pipeline.entrance import open_run as open_folder
from deepcorrect.pipeline.job import Job
from deepcorrect.report.page import build_report
from deepcorrect.runs.results import Record, Records
from deepcorrect.runs.stages import Ladders


def open_run(job: Job, out: Path | None, command: str, settings: dict[str, Any], ladders: Ladders = ()) -> list[Record] | None:
    """Give the job its run folder, if it is to have one; return the records if that run is finished already.

    Of several processes only the first has the folder.

    Args:
        ladders: the distortions that the network is measured under; what the user's own do is part of the settings.
    """
    finished = None
    if job.processes.first and out is None and command in ("correct", "finetune", "train-baseline"):
        tell("without --out nothing is kept except what is printed")
    if job.processes.first and out is not None:
        open_folder(job, out, command, settings, ladders, command_line=invocation.current.get())
        finished = job.run.finished() if job.run is not None else None
    return job.processes.agreed(finished.records if finished else None)


def keep(job: Job, records: list[Record]) -> None:
    """Save the results and the page in the run folder, if there is one."""
    if job.run is not None:
        if job.run.finished() is None:
            job.run.finish(records, job.device)
        page = job.run.file("report.html")
        try:
            if not page.exists():
                build_report([job.run.path], page)
            tell(f"report: {page}")
        except Exception as error:  # the results are saved, and worth more than the page
            reason = " ".join(str(error).split()) or type(error).__name__
            tell(f"no report.html: {reason}; the results are saved, and 'deepcorrect report {job.run.path}' tries again")


def conclude(job: Job, records: list[Record], *, as_json: bool) -> None:
    """Keep the records, and print them."""
    keep(job, records)
    if not job.processes.first:
        return
    if as_json:
        robustness = [network.as_json(job.data.name) for network in Records(records).robustness()]
        printed = {"records": [record.model_dump(mode="json") for record in records]}
        print(json.dumps(printed | ({"robustness": robustness} if robustness else {})))
    else:
        show_records(records)
