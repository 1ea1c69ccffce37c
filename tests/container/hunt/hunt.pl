# A RUN step that looks for the builder's secrets in every way that a process of root has. Prints "FOUND …" for each that works,
# "hunted" at the end. The words are put together here so that this file is not what is found.
use strict;
use warnings;
my $secret = join "", "hunter", "2";
my ($PTRACE, $ATTACH, $DETACH, $CHROOT, $MKNOD) = (101, 16, 17, 161, 133);    # of x86-64
$| = 1;

sub look {
    my ($path) = @_;
    return if -d $path or -p $path or -S $path or -b _ or -c _;
    open(my $file, "<", $path) or return;
    my ($content, $got) = ("", 0);
    while ($got < 1 << 24 and my $read = sysread($file, my $chunk, 65536)) { $content .= $chunk; $got += $read }
    print "FOUND in $path\n" if index($content, $secret) >= 0;
}

sub look_into_memory {
    my ($pid) = @_;
    open(my $maps, "<", "/proc/$pid/maps") or return;
    open(my $memory, "<", "/proc/$pid/mem") or return;
    print "FOUND a way to open the memory of $pid\n" if $pid != $$ and not mine($pid);
}

sub mine {    # whether the process is this step's own: a child, or the builder's keeper, which is started without secrets
    my ($pid) = @_;
    open(my $status, "<", "/proc/$pid/status") or return 1;
    return !!grep { /^PPid:\s+($$)$/ } <$status>;
}

print "FOUND in the environment\n" if grep { index($_, $secret) >= 0 } %ENV;
look($_) for glob("/kaniko/.docker/* /root/.docker/* /workspace/docker/* /var/run/secrets/*/*/* /run/secrets/*/*/*");
for my $pid (grep { /^\d+$/ } map { s{/proc/}{}r } glob("/proc/*")) {
    look("/proc/$pid/$_") for ("environ", "cmdline");
    for my $door ("root", "cwd") {
        look("/proc/$pid/$door/$_")
            for ("kaniko/.docker/config.json", "../kaniko/.docker/config.json",
                 "var/run/secrets/kubernetes.io/serviceaccount/token", "run/secrets/kubernetes.io/serviceaccount/token");
    }
    look($_) for glob("/proc/$pid/fd/*");
    look_into_memory($pid);
}
for my $pid (1 .. 2000) {
    next if $pid == $$;
    if (syscall($PTRACE, $ATTACH, $pid, 0, 0) == 0) {
        print "FOUND a process to trace: $pid\n";
        syscall($PTRACE, $DETACH, $pid, 0, 0);
    }
}
mkdir "/hole";
my ($hole, $here) = ("/hole", ".");
if (syscall($CHROOT, $hole) == 0) {
    chdir("..") for 1 .. 64;
    syscall($CHROOT, $here);
    look("/kaniko/.docker/config.json");
}
my ($device) = stat("/");
for my $number ($device, map { /^\s*(\d+)\s+(\d+)/ ? ($1 << 8 | $2) : () } lines("/proc/partitions")) {
    my $node = "/node";
    next if syscall($MKNOD, $node, 060600, $number + 0) != 0;
    if (open(my $disk, "<", $node)) { print "FOUND a disk to read: $number\n" if sysread($disk, my $block, 512) }
    unlink $node;
}
print "hunted\n";

sub lines {
    open(my $file, "<", $_[0]) or return ();
    return <$file>;
}
