"""Commands about the machine that excise runs on: doctor."""


def doctor() -> None:
    """Say what this machine has, and what is missing."""
    from excise.record.environment import examine
    from excise.report.tables import print_doctor

    print_doctor(examine())


MACHINE = {"doctor": doctor}
"""Command names and what they call, in the order of the help."""
