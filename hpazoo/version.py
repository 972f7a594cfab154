"""The version, apart from the package, so that no module needs to import the package itself."""

VERSION = "0.2.0"
