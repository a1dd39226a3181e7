"""The names of the tasks that need no file, so that an unknown one is refused without loading any of them."""

from __future__ import annotations

TASK_NAMES = (
    "icd10-chapter",
    "cola", "sst2", "mrpc", "qqp", "stsb", "mnli", "mnli_matched", "mnli_mismatched", "qnli", "rte", "wnli",
    "superglue-boolq", "superglue-cb", "superglue-copa", "superglue-multirc", "superglue-rte", "superglue-wic",
    "superglue-wsc.fixed", "superglue-record",
    "squad",
)  # fmt: skip
