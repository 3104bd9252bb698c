"""Every error a user can cause, with one type a cause.

A message names the file, field or option at fault and says what to do about it. Command lines print the message
alone (`raymask.cli.run`); the HTTP API maps the type to a status.
"""


class RaymaskError(Exception):
    """Base of all errors whose message is written for the user."""


class ConfigError(RaymaskError, ValueError):
    """An option or configuration field has a value it cannot take."""


def check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    """Raise ConfigError if the field `name` has a value that is not in `known`."""
    if value not in known:
        raise ConfigError(f"{name} {value!r} is unknown; choose one of {', '.join(known)}")


class ImageError(RaymaskError):
    """Bytes that cannot be read as a photo: not an image, truncated, too small or too large."""


class NoFaceError(RaymaskError):
    """A photo in which no face was found."""


class TrainingError(RaymaskError):
    """A training run that cannot go on with its settings, however often it is tried."""


class StoppedError(RaymaskError):
    """Work that was told to end before it was done, and kept what it had."""


class DataError(RaymaskError):
    """A folder or file of a data set is missing, empty, unwritable or not what its reader expects."""


class UnsavedError(DataError):
    """What a training has come to cannot be written: no right to, disk full, or the like."""


class ClusterError(DataError):
    """A Ray cluster that cannot be joined or started as the environment stands."""


class ModelError(RaymaskError):
    """A model file is missing, damaged (checksum), or made for something else."""


class TooLargeError(ImageError):
    """A photo, or the request that brings it, is over a limit."""


class TooSlowError(RaymaskError):
    """A request that did not arrive in time."""


class UnauthorisedError(RaymaskError):
    """A request without a key that is known."""


class ForbiddenError(RaymaskError):
    """A request that its key's role does not allow."""


class UnknownIdentityError(RaymaskError):
    """A person who is not enrolled."""


class UnknownPhotoError(RaymaskError):
    """A photo that was not kept."""


class BusyError(RaymaskError):
    """More is asked than can be done now; `retry_after` says when to ask again, in seconds."""

    retry_after = 1


class RateError(BusyError):
    """More than this key may ask."""


class UnavailableError(BusyError):
    """A part of the service is away, and comes back by itself."""

    retry_after = 5


class ChangingError(UnavailableError):
    """Parts of the service hold different models for the moment: one of them is being replaced."""
