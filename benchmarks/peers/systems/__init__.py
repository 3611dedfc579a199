"""The other systems, one file each: `make(threads)` of a file gives its System (base.py), or several of them by name."""

import importlib

# name of the system: the file and what its `make` is told.
SYSTEMS = {
    "numpy": ("numpy", {}),
    "numba": ("numba", {}),
    "jax": ("jax", {}),
    "torch": ("torch", {"compiled": False}),
    "torch_compile": ("torch", {"compiled": True}),
    "tf": ("tensorflow", {"xla": False}),
    "tf_xla": ("tensorflow", {"xla": True}),
    "ort": ("onnxruntime", {}),
    "drjit": ("drjit", {}),
    "mlx": ("mlx", {}),
}


def make(name, threads):
    """The system of a name, in this process."""
    module, options = SYSTEMS[name]
    return importlib.import_module(f"systems.{module}").make(threads, **options)
