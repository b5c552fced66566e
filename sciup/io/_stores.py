"""Object stores and web servers as fsspec opens them: who asks, and how often it tries again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from sciup.errors import InputError, MissingPackageError

logger = logging.getLogger("sciup")

S3 = ("s3://", "s3a://")
WEB = ("http://", "https://")
CONNECT, SILENT = 10.0, 30.0
"""Seconds that a web server may take to answer at all, and that it may say nothing."""

WHO = ("anon", "key", "username", "session")
"""Options of s3fs that say who asks."""


@contextmanager
def store_errors(url: str) -> Iterator[None]:
    """What fsspec raises on an address that it cannot open, in our words."""
    try:
        yield
    except ImportError as error:
        raise MissingPackageError(
            f"{url} cannot be reached: {error}",
            fix="pip install s3fs for s3://, aiohttp for https://, gcsfs for gs://",
        ) from None
    except ValueError as error:
        raise InputError(f"{url} is no address that is known ({error})") from None


def store_options(url: str) -> dict[str, Any]:
    """What fsspec is told beyond what it is configured with.

    Holds are what configures fsspec (``FSSPEC_S3_ANON``, ``FSSPEC_S3_ENDPOINT_URL``,
    ``FSSPEC_S3_PROFILE``, files in ``~/.config/fsspec``) and Amazon's own tools (``AWS_PROFILE``,
    ``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL``). S3 is asked anonymously where there are no
    credentials, which is said.

    Raises
    ------
    ImportError
        If the package of the store is not there.
    InputError
        If the credentials cannot be read.
    """
    from fsspec.config import conf

    if url.startswith(WEB):
        from aiohttp import ClientTimeout

        # aiohttp itself waits 5 minutes, and cuts off what takes longer
        limits = ClientTimeout(total=None, sock_connect=CONNECT, sock_read=SILENT)
        told = {**conf.get("http", {}), **conf.get("https", {})}
        return {"client_kwargs": {"timeout": limits, **told.get("client_kwargs", {})}}
    if not url.startswith(S3):
        return {}
    told = {**conf.get("s3", {}), **conf.get("s3a", {})}
    # botocore tries again by itself, too, and says nothing
    quick = {"retries": {"max_attempts": 0}, **told.get("config_kwargs", {})}
    anonymous = not told.keys() & set(WHO) and not _has_credentials(told.get("profile"))
    return {"config_kwargs": quick, **({"anon": True} if anonymous else {})}


def try_once(filesystem: Any) -> None:
    """Keep s3fs from trying again by itself: we do, with a word each time."""
    if "s3" in filesystem.protocol:
        filesystem.retries = 1


class OutOfReachError(TimeoutError):
    """A machine that has never answered: perhaps there is no network, or no such machine."""


def store_fix(url: str, error: BaseException) -> str:
    """What to do about a store that did not give something; nothing if that is not known."""
    if isinstance(error, OutOfReachError):
        elsewhere = ", and AWS_ENDPOINT_URL" if url.startswith(S3) else ""
        return (
            f"check the network (cable, VPN, proxy) and the address{elsewhere}; or download a copy"
            " and give its path"
        )
    if not url.startswith(S3) or not isinstance(error, PermissionError):
        return ""
    return (
        "check bucket and key: S3 refuses names that are not there, too; say who asks with "
        "AWS_PROFILE or AWS_ACCESS_KEY_ID, or FSSPEC_S3_ANON=true; and another service than "
        "Amazon's with AWS_ENDPOINT_URL"
    )


@cache
def _has_credentials(profile: str | None) -> bool:
    """Whether botocore finds credentials: variables, files, or the machine's role."""
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    try:
        found = Session(profile=profile).get_credentials()
    except BotoCoreError as error:
        raise InputError(
            f"the credentials for S3 cannot be read ({error})", "",
            "check ~/.aws/config, AWS_PROFILE and FSSPEC_S3_PROFILE",
        ) from None  # fmt: skip
    if found is None:
        logger.info("S3: no credentials were found, asking anonymously (set AWS_PROFILE for yours)")
    return found is not None


__all__ = ["OutOfReachError", "store_errors", "store_fix", "store_options", "try_once"]
