"""The errors that pyrec raises for bad input; each message names what, where, the bound and the mend."""


class PyrecError(Exception):
    """Base of every error that pyrec raises on purpose."""


class DataError(PyrecError, ValueError):
    """Arrays, files or ids that do not fit: the message names the argument, position, value and bound."""


class ConfigError(PyrecError, ValueError):
    """A hyperparameter, option or environment variable outside its range."""


class CudaError(PyrecError, RuntimeError):
    """CUDA kernels were asked for that this build lacks, or the CUDA runtime reported an error."""


class StoppedError(PyrecError):
    """Training ended early because it was asked to; its checkpoint is where it goes on."""


class NotFittedError(PyrecError, RuntimeError):
    """A model was asked for something that only exists after ``fit``."""
