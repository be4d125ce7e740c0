"""The embedded engine beside kokoro-onnx, and where its time goes."""
