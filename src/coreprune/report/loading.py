"""The lines that load a result."""

from coreprune.report.context import Context


def loading_code(context: Context) -> str:
    """Python that loads what was saved, saving it first where that was not done yet."""
    place = context.saved or ("small.onnx" if context.kind == "onnx" else "small")
    saving = [] if context.saved else [f"result.save({place!r})  # once, where it was pruned", ""]
    if context.kind == "onnx":
        lines = [
            "import onnxruntime",
            "",
            *saving,
            f"session = onnxruntime.InferenceSession({place!r})",
        ]
        return "\n".join(lines)
    imports, fresh = ["import coreprune"], "original"
    made = [f"original = ...  # a fresh {context.name}, built like the one that was pruned"]
    if context.factory:
        module, _, attribute = context.factory.partition(":")
        imports.append(f"from {module} import {attribute.partition('.')[0]}")
        fresh, made = f"{attribute}()", []
    return "\n".join([
        *imports, "", *saving, *made, f"model = coreprune.load({place!r}, into={fresh})",
    ])  # fmt: skip
