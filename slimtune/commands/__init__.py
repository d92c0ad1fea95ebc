"""The commands, one thin module each: a request comes in, the library works, the result is printed."""
