"""Is the flow whole? Features that nothing writes or uses, and modules that never ran, leave an edit in the air."""

from torch import nn

from excise.errors import UnfollowableError
from excise.surgery.flow import Flow, Role

__all__ = ["check_flow"]


def check_flow(flow: Flow) -> None:
    """Refuse features that no weight of the model writes or that nothing uses, and experts of which some never ran.

    Raises:
        UnfollowableError: one of these; what is missing is named.
    """
    leaves = flow.recording.leaves
    if not any(array.role is Role.CARRIES for value in leaves.values() for array in flow.all_of(value)):
        raise UnfollowableError(
            flow.place,
            "no weight of the model writes its features: they come from tensors that the forward "
            "pass makes or takes from "
            "outside its modules. Name a layer behind one with weights, or hold those tensors in "
            "parameters or buffers.",
        )
    used = any(
        value.users or value in flow.recording.outputs for value in flow.held if value.source == "call"
    )
    if not used:
        raise UnfollowableError(
            flow.place,
            "nothing uses its features, so there is nothing to remove them from. Name a layer whose output the model "
            "uses; what goes on inside torch.vmap and other transforms is not seen.",
        )
    _check_experts(flow)


def _check_experts(flow: Flow) -> None:
    """Of several modules of one kind in a list, those that did not run would keep what is cut out of the others."""
    touched = {name for name, value in flow.recording.leaves.items() if flow.all_of(value)}
    for path, module in flow.recording.modules.items():
        if not isinstance(module, nn.ModuleList | nn.ModuleDict):
            continue
        ran = [name for name, _ in module.named_children() if _reaches(f"{path}.{name}", touched)]
        kinds = {type(module.get_submodule(name)) for name in ran}
        for name, child in module.named_children():
            place = f"{path}.{name}"
            idle = all(
                not value.users
                for leaf, value in flow.recording.leaves.items()
                if leaf.startswith(f"{place}.")
            )
            if type(child) in kinds and idle and any(True for _ in child.parameters()):
                raise UnfollowableError(
                    place,
                    f"it did not run on the example inputs, and others of its kind in {path!r} have "
                    "to do with the features of "
                    f"{flow.place!r}; after an edit it would not fit them. Give example inputs that "
                    "reach it (more of them, or "
                    f"others), so that what it does is seen.",
                )


def _reaches(place: str, touched: set[str]) -> bool:
    return any(name.startswith(f"{place}.") for name in touched)
