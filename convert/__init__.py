"""Zoo model to int8 .tflite with its card and verification report; needs TensorFlow."""
