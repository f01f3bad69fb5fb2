// A webcam for the real OpenCV: preloaded, it answers as the driver of the device that EMULATED_WEBCAM names.
// YUYV in 640x480 (30 frames/s) and 1280x720 (10), NV12 in 640x480, MJPEG in both, each picture the file
// EMULATED_JPEG. Frames come by the monotonic clock. While the file EMULATED_UNPLUGGED exists it is not there;
// while EMULATED_HANGING does, a read does not return.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <set>

static const unsigned most = 1280 * 720 * 2;
static const unsigned formats[] = {V4L2_PIX_FMT_YUYV, V4L2_PIX_FMT_MJPEG, V4L2_PIX_FMT_NV12};
static std::set<int> opens;
static unsigned width = 640, height = 480, format = V4L2_PIX_FMT_YUYV, rate = 30, count = 0;
static std::deque<unsigned> queued;

static bool told(const char *name) {
    const char *path = getenv(name);
    return path != nullptr && access(path, F_OK) == 0;
}

static int fail(int why) {
    errno = why;
    return -1;
}

static int opened(const char *name, const char *path, int flags, int mode) {
    const char *emulated = getenv("EMULATED_WEBCAM");
    if (emulated == nullptr || strcmp(path, emulated) != 0)
        return reinterpret_cast<int (*)(const char *, int, ...)>(dlsym(RTLD_NEXT, name))(path, flags, mode);
    if (told("EMULATED_UNPLUGGED")) return fail(ENOENT);
    const int camera = memfd_create("webcam", 0);
    if (ftruncate(camera, 10L * most) != 0) return -1;
    opens.insert(camera);
    return camera;
}

extern "C" int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    const int mode = (flags & O_CREAT) ? va_arg(rest, int) : 0;
    va_end(rest);
    return opened("open", path, flags, mode);
}

extern "C" int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    const int mode = (flags & O_CREAT) ? va_arg(rest, int) : 0;
    va_end(rest);
    return opened("open64", path, flags, mode);
}

extern "C" int close(int descriptor) {
    opens.erase(descriptor);
    return reinterpret_cast<int (*)(int)>(dlsym(RTLD_NEXT, "close"))(descriptor);
}

static unsigned fastest() { return format == V4L2_PIX_FMT_YUYV && width == 1280 ? 10 : 30; }

static unsigned bytes() { return format == V4L2_PIX_FMT_NV12 ? width * height * 3 / 2 : width * height * 2; }

static void tell(v4l2_pix_format &answer) {
    answer.width = width, answer.height = height, answer.pixelformat = format, answer.field = V4L2_FIELD_NONE;
    answer.bytesperline = format == V4L2_PIX_FMT_YUYV ? 2 * width : format == V4L2_PIX_FMT_NV12 ? width : 0;
    answer.sizeimage = most, answer.colorspace = V4L2_COLORSPACE_SRGB;
}

static int set(v4l2_pix_format &asked) {
    bool known = false;
    for (unsigned each : formats) known = known || each == asked.pixelformat;
    if (!known) return fail(EINVAL);
    format = asked.pixelformat;
    const bool high = asked.width > 640 && format != V4L2_PIX_FMT_NV12;
    width = high ? 1280 : 640, height = high ? 720 : 480;
    rate = fastest();
    tell(asked);
    return 0;
}

static unsigned paint(unsigned char *memory) {
    if (format == V4L2_PIX_FMT_MJPEG) {
        FILE *file = fopen(getenv("EMULATED_JPEG"), "rb");
        const size_t read = fread(memory, 1, most, file);
        fclose(file);
        return read;
    }
    const unsigned step = format == V4L2_PIX_FMT_YUYV ? 2 : 1;
    for (unsigned row = 0; row < height; row++)
        for (unsigned column = 0; column < width; column++) memory[(row * width + column) * step] = 16 + row / 4 + column / 8;
    if (step == 2)
        for (unsigned pair = 0; pair < width * height / 2; pair++) memory[4 * pair + 1] = 90, memory[4 * pair + 3] = 160;
    else
        for (unsigned pair = 0; pair < width * height / 4; pair++)
            memory[width * height + 2 * pair] = 90, memory[width * height + 2 * pair + 1] = 160;
    return bytes();
}

static int dequeue(int camera, v4l2_buffer &answer) {
    while (told("EMULATED_HANGING")) usleep(10000);
    if (queued.empty()) return fail(EINVAL);
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const long step = 1000000000L / rate, wait = step - now.tv_nsec % step;
    usleep(wait / 1000 + 1);
    if (told("EMULATED_UNPLUGGED")) return fail(ENODEV);
    clock_gettime(CLOCK_MONOTONIC, &now);
    answer.index = queued.front();
    queued.pop_front();
    void *memory = mmap(nullptr, most, PROT_READ | PROT_WRITE, MAP_SHARED, camera, long(answer.index) * most);
    answer.bytesused = paint(static_cast<unsigned char *>(memory));
    munmap(memory, most);
    answer.length = most, answer.sequence = count++;
    answer.flags = V4L2_BUF_FLAG_MAPPED | V4L2_BUF_FLAG_DONE | V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    // The picture was taken 5 ms before the driver had it.
    const long taken = now.tv_sec * 1000000L + now.tv_nsec / 1000 - 5000;
    answer.timestamp.tv_sec = taken / 1000000, answer.timestamp.tv_usec = taken % 1000000;
    return 0;
}

static int sizes(v4l2_frmsizeenum &answer) {
    if (answer.index > (answer.pixel_format == V4L2_PIX_FMT_NV12 ? 0 : 1)) return fail(EINVAL);
    answer.type = V4L2_FRMSIZE_TYPE_DISCRETE;
    answer.discrete.width = answer.index ? 1280 : 640, answer.discrete.height = answer.index ? 720 : 480;
    return 0;
}

static int intervals(v4l2_frmivalenum &answer) {
    if (answer.index) return fail(EINVAL);
    answer.type = V4L2_FRMIVAL_TYPE_DISCRETE, answer.discrete.numerator = 1;
    answer.discrete.denominator = answer.pixel_format == V4L2_PIX_FMT_YUYV && answer.width == 1280 ? 10 : 30;
    return 0;
}

static int answered(int camera, unsigned long request, void *argument) {
    auto &buffer = *static_cast<v4l2_buffer *>(argument);
    switch (request) {
    case VIDIOC_QUERYCAP: {
        auto &answer = *static_cast<v4l2_capability *>(argument);
        memset(&answer, 0, sizeof answer);
        strcpy(reinterpret_cast<char *>(answer.card), "Emulated webcam");
        answer.device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        answer.capabilities = answer.device_caps | V4L2_CAP_DEVICE_CAPS;
        return 0;
    }
    case VIDIOC_ENUM_FMT: {
        auto &answer = *static_cast<v4l2_fmtdesc *>(argument);
        if (answer.index >= 3 || answer.type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return fail(EINVAL);
        answer.pixelformat = formats[answer.index];
        return 0;
    }
    case VIDIOC_ENUM_FRAMESIZES: return sizes(*static_cast<v4l2_frmsizeenum *>(argument));
    case VIDIOC_ENUM_FRAMEINTERVALS: return intervals(*static_cast<v4l2_frmivalenum *>(argument));
    case VIDIOC_S_FMT:
    case VIDIOC_TRY_FMT: return set(static_cast<v4l2_format *>(argument)->fmt.pix);
    case VIDIOC_G_FMT: return tell(static_cast<v4l2_format *>(argument)->fmt.pix), 0;
    case VIDIOC_S_PARM:
    case VIDIOC_G_PARM: {
        auto &timing = static_cast<v4l2_streamparm *>(argument)->parm.capture;
        timing.capability = V4L2_CAP_TIMEPERFRAME;
        timing.timeperframe.numerator = 1, timing.timeperframe.denominator = rate;
        return 0;
    }
    case VIDIOC_G_INPUT: return *static_cast<int *>(argument) = 0;
    case VIDIOC_S_INPUT:
    case VIDIOC_STREAMON:
    case VIDIOC_STREAMOFF: return 0;
    case VIDIOC_REQBUFS: return queued.clear(), 0;
    case VIDIOC_QUERYBUF: return buffer.length = most, buffer.m.offset = buffer.index * most, 0;
    case VIDIOC_QBUF: return queued.push_back(buffer.index), 0;
    case VIDIOC_DQBUF: return dequeue(camera, buffer);
    }
    return fail(ENOTTY);
}

extern "C" int ioctl(int descriptor, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (opens.count(descriptor)) return answered(descriptor, static_cast<unsigned>(request), argument);
    return reinterpret_cast<int (*)(int, unsigned long, ...)>(dlsym(RTLD_NEXT, "ioctl"))(descriptor, request, argument);
}
