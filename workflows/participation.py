"""The Nexus service by which departments that run Temporal themselves take part in joint inspections.

This is the contract: a department implements it, as examples/department does, and we call it. The messages
are in proto/bihuan/inspection/v1/participation.proto.
"""

import nexusrpc

from bihuan.inspection.v1.participation_pb2 import Invitation, Reply


@nexusrpc.service(name="bihuan.inspection.v1.Participation")
class Participation:
    """What a department can be asked.

    invite: whether it takes part in an inspection. It may take as long as people do; the caller cancels it
    when no answer is wanted any more.
    """

    invite: nexusrpc.Operation[Invitation, Reply]
