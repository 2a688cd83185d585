"""How fast the engine is: beside FastAPI, beside the bare function, and beside any server that is given."""
