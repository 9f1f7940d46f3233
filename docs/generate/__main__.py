"""Write the pages of the reference."""

from docs.generate import write

write()
