"""What the Linux kernel says in /proc and /sys about processes, links, pressure and energy.

Each reader takes the root of the tree that it reads, so that tests give their own. What a kernel
does not have is None (or an empty mapping), never zero.
"""
