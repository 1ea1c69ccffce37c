"""The only place that knows the order of a build. Open ``build.py`` first."""
