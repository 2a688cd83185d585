"""Errors that a user is meant to read.

    BundleError                  exit status 1: something did not work
    |-- UsageError               exit status 2: what was asked for, or given, cannot be right
    |   `-- SettingsError        a setting in .env, the environment or on the command line
    |-- RefusedVersion           exit status 3: a version did not pass its checks and was not published
    `-- UncheckedVersion         exit status 4: its checks could not be finished, so it was not published, nor refused

Every message says what was found, what was expected and what to do; a command prints it without a traceback.
"""

from __future__ import annotations


class BundleError(Exception):
    """Something did not work; the message is complete and fit to print."""

    exit_status = 1


class UsageError(BundleError):
    """What the user gave or asked for cannot be right."""

    exit_status = 2


class SettingsError(UsageError):
    """A setting has an unknown name or a value it cannot have."""


class RefusedVersion(BundleError):
    """A version did not pass its checks, so it was not published."""

    exit_status = 3


class UncheckedVersion(BundleError):
    """The checks of a version could not be finished, for want of time or memory; another try may end otherwise."""

    exit_status = 4
