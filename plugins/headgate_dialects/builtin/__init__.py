"""The built-in dialects, one ingestion API per file."""

from headgate_dialects.builtin.codcompass import Codcompass
from headgate_dialects.builtin.prompting_company import PromptingCompany
from headgate_dialects.builtin.realanalytics import RealAnalytics
from headgate_dialects.builtin.xaiku import Xaiku
from headgate_dialects.sdk.dialect import Dialect

DIALECTS: tuple[Dialect, ...] = (Codcompass(), Xaiku(), RealAnalytics(), PromptingCompany())
