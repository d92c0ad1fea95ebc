"""Engines that run a frozen net, and how far they agree with float32."""
