"""What a Dockerfile means, as a value; nothing about doing it. Pure: AST and base configs in, :class:`Plan` out."""
