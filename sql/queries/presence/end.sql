SELECT end_presence(%(incidents)s::text[], %(sockets)s::text[])
