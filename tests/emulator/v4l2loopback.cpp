// A device of v4l2loopback, for the real pyvirtualcam: preloaded, it answers for the file that
// EMULATED_CAMERA names. The format set is written beside it (.format), the frames to its end.
// Behaves as version 0.12.7 made with exclusive_caps=1: once somebody writes, it is no output any more.
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

static int camera = -1;

template <typename Function>
static Function real(const char *name) {
    return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

extern "C" int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    const int mode = (flags & O_CREAT) ? va_arg(rest, int) : 0;
    va_end(rest);
    const auto descriptor = real<int (*)(const char *, int, ...)>("open");
    const char *emulated = getenv("EMULATED_CAMERA");
    if (emulated == nullptr || strcmp(path, emulated) != 0) return descriptor(path, flags, mode);
    return camera = descriptor(path, O_WRONLY | O_APPEND);
}

static int query(v4l2_capability *answer) {
    struct stat written;
    fstat(camera, &written);
    strcpy(reinterpret_cast<char *>(answer->driver), "v4l2 loopback");
    answer->capabilities = written.st_size ? V4L2_CAP_VIDEO_CAPTURE : V4L2_CAP_VIDEO_OUTPUT;
    return 0;
}

static int set_format(const v4l2_pix_format &asked) {
    const std::string path = std::string(getenv("EMULATED_CAMERA")) + ".format";
    FILE *file = fopen(path.c_str(), "w");
    fprintf(file, "%.4s:%ux%u", reinterpret_cast<const char *>(&asked.pixelformat), asked.width, asked.height);
    fclose(file);
    return 0;
}

extern "C" int ioctl(int descriptor, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (descriptor != camera || camera == -1)
        return real<int (*)(int, unsigned long, ...)>("ioctl")(descriptor, request, argument);
    if (request == VIDIOC_QUERYCAP) return query(static_cast<v4l2_capability *>(argument));
    if (request == VIDIOC_S_FMT) return set_format(static_cast<v4l2_format *>(argument)->fmt.pix);
    errno = ENOTTY;
    return -1;
}
