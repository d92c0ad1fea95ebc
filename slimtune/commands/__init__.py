"""The commands, one thin module each: a request comes in, the library works, and what came of it is printed."""
