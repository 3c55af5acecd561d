from .hub import upload
from .onnx_files import OnnxExport, to_onnx
from .run_folder import Exported, export_run

__all__ = ["Exported", "OnnxExport", "export_run", "to_onnx", "upload"]
