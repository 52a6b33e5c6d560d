"""Programs of the other side: targets that are probed, clients that listen, and the peers that are compared with.

Each runs as a process of its own (`python -m bench.peers.<name>`), so that its CPU is nobody else's, and is spoken to
in lines of JSON over stdin and stdout.
"""
