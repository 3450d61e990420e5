"""The subcommands of `loraswitch`: each adds its options to the parser and runs."""
