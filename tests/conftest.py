"""Shape annotations are checked by beartype here, and only here."""

from jaxtyping import install_import_hook

install_import_hook("excise", "beartype.beartype")
