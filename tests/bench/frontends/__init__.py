"""A REST server with nothing behind it, written for several HTTP servers: what do they cost a request?"""
