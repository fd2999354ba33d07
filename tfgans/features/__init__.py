"""Fixed feature networks for metrics and perceptual distances; nothing is downloaded."""
