"""System calls, namespaces, seccomp, mounts and cgroups, as the kernel has them. Standard library only."""
