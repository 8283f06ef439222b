"""For which department a caller may act. Pure."""

from rpc.errors import permission_denied


def department_of(agency: str) -> str:
    """The resource name of the department that an agency (USCC) is; empty for none."""
    return f"departments/{agency}" if agency else ""


def require_own(department: str, agency: str) -> None:
    """PERMISSION_DENIED, OTHER_DEPARTMENT, if the caller is of another agency than `department` (a resource
    name). Callers of no agency, as loops and supervisors, may act for any.
    """
    if agency and department != department_of(agency):
        raise permission_denied(
            "OTHER_DEPARTMENT",
            f"the caller is of {department_of(agency)} and cannot act for {department}",
            department=department,
        )
