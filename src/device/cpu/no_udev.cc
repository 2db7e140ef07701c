/// The static hwloc archive refers to libudev, which distributions ship only as a shared library.
/// hwloc asks it for one thing, the vendor names of disks, and does without when udev_new() gives
/// null. These definitions are that null, so that the program needs no library beyond libc's.

struct udev;
struct udev_device;

extern "C" {

udev* udev_new() {
  return nullptr;
}
udev* udev_unref(udev*) {
  return nullptr;
}
udev_device* udev_device_new_from_subsystem_sysname(udev*, const char*, const char*) {
  return nullptr;
}
const char* udev_device_get_property_value(udev_device*, const char*) {
  return nullptr;
}
udev_device* udev_device_unref(udev_device*) {
  return nullptr;
}

}  // extern "C"
