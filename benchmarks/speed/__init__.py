"""The embedded engine next to kokoro-onnx, and where its time goes."""
