"""One LoRA file: its header, the modules it targets, its adapters."""
