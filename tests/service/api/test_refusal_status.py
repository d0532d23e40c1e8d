"""The one table from cause to gRPC status."""

import grpc
import pytest
from google.rpc import error_details_pb2
from headgate.v1 import outcome_pb2
from headgate_service.api.rpc_status import GRPC_STATUS, refusal_status
from headgate_service.ingest.refusal import Refused

CAUSES = [cause for cause in outcome_pb2.Cause.values() if cause != outcome_pb2.CAUSE_UNSPECIFIED]


@pytest.mark.parametrize("cause", CAUSES, ids=outcome_pb2.Cause.Name)
def test_every_cause_has_a_status_and_an_error_info(cause):
    status = refusal_status(Refused.because(cause, "what to do"))
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert status.code == GRPC_STATUS[cause].value[0] != grpc.StatusCode.OK.value[0]
    assert (info.domain, "CAUSE_" + info.reason) == ("headgate", outcome_pb2.Cause.Name(cause))
    assert status.message == "what to do"


def test_resource_exhausted_is_for_limits_only():
    exhausted = {cause for cause, code in GRPC_STATUS.items() if code == grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert exhausted == {outcome_pb2.CAUSE_RATE_LIMITED, outcome_pb2.CAUSE_QUOTA_EXCEEDED}
