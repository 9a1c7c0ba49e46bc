"""Writers to interrupt at every point, and a disk that may lose power."""
