/*
 * sharecell for C++17: a thin face over sharecell.h, which says what each call does, and what a killed
 * process means to each object.
 *
 * - Segments and objects are handles: movable, not copyable, closed when destroyed. An object keeps its
 *   segment open, so they may be destroyed in any order. Closing never unlinks. Guards (Guard, SharedGuard,
 *   Item, Message, Slot, MessageSlot) and an Interest must not outlive the object that they are of; nothing
 *   here throws from a destructor.
 * - All threads may use a handle at once, and so may a forked child, which is a participant of its own; only
 *   a handle that is moved, assigned or destroyed must be used by nobody else. A guard belongs to one thread
 *   at a time, and in a forked child it does nothing: what it stands for is the parent's.
 * - Mistakes and refusals are thrown as Error. That somebody was too late, or has closed, is a result: a call
 *   waits for ever, its try_ form not at all, its _for form at most for a duration (none waits if that is not
 *   positive). A signal handler that runs during a wait, installed without SA_RESTART, ends it with an Error
 *   whose code() is SHC_INTERRUPTED, and nothing has happened.
 * - Names of segments and objects are UTF-8 without a NUL; text and items are bytes.
 */

#ifndef SHARECELL_HPP
#define SHARECELL_HPP

#include <sharecell.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace sharecell {

/// What was thrown: the status of the C call, and the library's sentence about it.
class Error : public std::runtime_error {
  public:
    Error(shc_status code, const std::string &what) : std::runtime_error(what), code_(code) {}

    /// One of SHC_ERR_*, or SHC_INTERRUPTED, or SHC_CLOSED or SHC_BROKEN from a call that has no other way to
    /// say so.
    shc_status code() const noexcept { return code_; }

  private:
    shc_status code_;
};

/// Somebody has declared what a Lock protects to be beyond repair: SHC_ERR_POISONED.
class Poisoned : public Error {
  public:
    explicit Poisoned(const std::string &what) : Error(SHC_ERR_POISONED, what) {}
};

/// How a call ended that is no mistake; true if it did what it was to do.
class Outcome {
  public:
    explicit constexpr Outcome(shc_status status) noexcept : status_(status) {}
    explicit constexpr operator bool() const noexcept { return status_ == SHC_OK; }

    /// It would have had to wait, and was told not to.
    constexpr bool would_block() const noexcept { return status_ == SHC_WOULD_BLOCK; }
    /// Its time was up.
    constexpr bool timed_out() const noexcept { return status_ == SHC_TIMED_OUT; }
    /// The queue was shut down, or nobody is left at the other end of the pipe.
    constexpr bool closed() const noexcept { return status_ == SHC_CLOSED; }
    /// As a number of C.
    constexpr shc_status status() const noexcept { return status_; }

  private:
    shc_status status_;
};

/// What a call returned, or nothing, and then outcome() says why.
template <class T> class Result : public std::optional<T> {
  public:
    Result(T value) : std::optional<T>(std::move(value)), outcome_(SHC_OK) {}
    /// Nothing, for a reason.
    Result(Outcome outcome) noexcept : outcome_(outcome) {}

    /// How the call ended; true if there is a value.
    Outcome outcome() const noexcept { return outcome_; }

  private:
    Outcome outcome_;
};

/// How a lock was acquired.
enum class Acquired {
    /// The previous owner gave it back in good order.
    clean,
    /// The previous owner died holding it: what it protects may be half changed.
    owner_died,
};

/// Declares a type to be plain data that can lie in shared memory, by the name that all languages know it by.
/// Use fixed-width fields; padding counts when values are compared.
///
///     template <> struct sharecell::plain_data<Point> { static constexpr const char *name = "Point"; };
template <class T> struct plain_data;

namespace detail {

constexpr std::uint32_t abi_version = 1;

[[noreturn]] inline void raise(shc_status status) {
    if (status == SHC_INTERRUPTED) throw Error(status, "interrupted by a signal");
    if (status == SHC_CLOSED) throw Error(status, "closed");
    if (status == SHC_BROKEN) throw Error(status, "the barrier is broken");
    if (status > 0) throw Error(status, "the call could not wait any longer");
    std::array<char, 1024> text{};
    shc_last_error(text.data(), text.size());
    if (status == SHC_ERR_POISONED) throw Poisoned(text.data());
    throw Error(status, text.data());
}

/// For calls that have one good end.
inline void check(shc_status status) {
    if (status != SHC_OK) raise(status);
}

/// For calls that may be too late, or closed.
inline Outcome outcome(shc_status status) {
    if (status < 0 || status == SHC_INTERRUPTED) raise(status);
    return Outcome(status);
}

inline Acquired acquired(shc_status status) {
    if (status == SHC_OWNER_DIED) return Acquired::owner_died;
    check(status);
    return Acquired::clean;
}

constexpr std::int64_t never = -1;
constexpr std::int64_t now = 0;

/// A duration as C has it, rounded up.
template <class Rep, class Period>
std::int64_t timeout(const std::chrono::duration<Rep, Period> &duration) noexcept {
    using limits = std::chrono::duration<long double, std::nano>;
    const limits exact = duration;
    if (!(exact.count() > 0)) return now;
    if (exact.count() >= 9.2e18L) return INT64_MAX;
    const auto whole = static_cast<std::int64_t>(exact.count());
    return static_cast<long double>(whole) < exact.count() ? whole + 1 : whole;
}

/// A timeout of C's that several calls share.
class Countdown {
  public:
    explicit Countdown(std::int64_t timeout_ns) noexcept
        : timeout_(timeout_ns), start_(std::chrono::steady_clock::now()) {}

    /// What is left of it.
    std::int64_t left() const noexcept {
        if (timeout_ <= 0) return timeout_;
        const auto gone = std::chrono::steady_clock::now() - start_;
        return timeout(std::chrono::nanoseconds(timeout_) - gone);
    }

  private:
    std::int64_t timeout_;
    std::chrono::steady_clock::time_point start_;
};

/// A name as C takes it.
class Name {
  public:
    explicit Name(std::string_view name) : text_(name) {
        if (name.find('\0') != std::string_view::npos)
            throw Error(SHC_ERR_INVALID_NAME, "a name must not contain a NUL");
    }
    operator const char *() const noexcept { return text_.c_str(); }

  private:
    std::string text_;
};

/// A handle to a segment, closed when neither the Segment nor an object of it is left.
struct Attachment {
    shc_segment *handle = nullptr;

    Attachment() = default;
    Attachment(const Attachment &) = delete;
    Attachment &operator=(const Attachment &) = delete;
    ~Attachment() { shc_segment_close(handle); }
};

inline void close(shc_value *handle) noexcept { shc_value_close(handle); }
inline void close(shc_array *handle) noexcept { shc_array_close(handle); }
inline void close(shc_lock *handle) noexcept { shc_lock_close(handle); }
inline void close(shc_semaphore *handle) noexcept { shc_semaphore_close(handle); }
inline void close(shc_queue *handle) noexcept { shc_queue_close(handle); }
inline void close(shc_pipe *handle) noexcept { shc_pipe_close(handle); }
inline void close(shc_rlock *handle) noexcept { shc_rlock_close(handle); }
inline void close(shc_rwlock *handle) noexcept { shc_rwlock_close(handle); }
inline void close(shc_condition *handle) noexcept { shc_condition_close(handle); }
inline void close(shc_event *handle) noexcept { shc_event_close(handle); }
inline void close(shc_barrier *handle) noexcept { shc_barrier_close(handle); }

/// Closes an object, and only then lets go of its segment.
template <class C> struct Closer {
    std::shared_ptr<Attachment> segment;
    void operator()(C *handle) const noexcept { close(handle); }
};

template <class C> using Handle = std::unique_ptr<C, Closer<C>>;

/// What make() gives to C for a result.
template <class C, class Call> Handle<C> make(const std::shared_ptr<Attachment> &segment, Call call) {
    C *handle = nullptr;
    check(call(segment->handle, &handle));
    return Handle<C>(handle, Closer<C>{segment});
}

template <class T, class = void> struct is_plain_data : std::false_type {};
template <class T> struct is_plain_data<T, std::void_t<decltype(plain_data<T>::name)>> : std::true_type {};

template <class T> constexpr bool is_integer = std::is_integral_v<T> && !std::is_same_v<T, bool> &&
                                               !std::is_same_v<T, char> && !std::is_same_v<T, wchar_t> &&
                                               !std::is_same_v<T, char16_t> && !std::is_same_v<T, char32_t>;

/// The typecode of a type, 0 for plain data.
template <class T> constexpr char typecode() noexcept {
    constexpr std::size_t size = sizeof(T);
    if (is_plain_data<T>::value) return 0;
    if (std::is_same_v<T, bool>) return '?';
    if (std::is_same_v<T, char>) return 'c';
    if (std::is_same_v<T, std::byte>) return 'B';
    if (std::is_same_v<T, float>) return 'f';
    if (std::is_same_v<T, double>) return 'd';
    if (!is_integer<T>) return 0;
    if (std::is_signed_v<T>) return size == 1 ? 'b' : size == 2 ? 'h' : size == 4 ? 'i' : 'q';
    return size == 1 ? 'B' : size == 2 ? 'H' : size == 4 ? 'I' : 'Q';
}

/// The type as C has it.
template <class T> shc_type element_type() noexcept {
    static_assert(std::is_trivially_copyable_v<T>, "what lies in shared memory is copied byte by byte");
    static_assert(std::is_default_constructible_v<T>, "what is read must be something before");
    static_assert(
        is_plain_data<T>::value || typecode<T>() != 0,
        "a number, bool, char, std::byte, or a type for which sharecell::plain_data is specialised");
    static_assert(alignof(T) <= 64, "elements are aligned to 64 bytes at most");
    shc_type type{};
    type.typecode = static_cast<unsigned char>(typecode<T>());
    if constexpr (is_plain_data<T>::value) {
        type.align = alignof(T);
        type.size = sizeof(T);
        type.name = plain_data<T>::name;
    }
    return type;
}

/// Whatever another language wrote, a bool is 0 or 1.
template <class T> void settle([[maybe_unused]] T *elements, [[maybe_unused]] std::size_t count) noexcept {
    if constexpr (std::is_same_v<T, bool>) {
        for (std::size_t i = 0; i < count; i++) {
            unsigned char byte = 0;
            std::memcpy(&byte, elements + i, 1);
            elements[i] = byte != 0;
        }
    }
}

inline shc_status lock(const shc_lock *handle, std::int64_t t) noexcept {
    return shc_lock_acquire(handle, t);
}
inline shc_status lock(const shc_value *handle, std::int64_t t) noexcept { return shc_value_lock(handle, t); }
inline shc_status lock(const shc_array *handle, std::int64_t t) noexcept { return shc_array_lock(handle, t); }
inline shc_status lock(const shc_rlock *handle, std::int64_t t) noexcept {
    return shc_rlock_acquire(handle, t);
}
inline shc_status lock(const shc_rwlock *handle, std::int64_t t) noexcept {
    return shc_rwlock_acquire_write(handle, t);
}
inline shc_status lock(const shc_condition *handle, std::int64_t t) noexcept {
    return shc_condition_acquire(handle, t);
}
inline shc_status unlock(const shc_lock *handle) noexcept { return shc_lock_release(handle); }
inline shc_status unlock(const shc_value *handle) noexcept { return shc_value_unlock(handle); }
inline shc_status unlock(const shc_array *handle) noexcept { return shc_array_unlock(handle); }
inline shc_status unlock(const shc_rlock *handle) noexcept { return shc_rlock_release(handle); }
inline shc_status unlock(const shc_rwlock *handle) noexcept { return shc_rwlock_release_write(handle); }
inline shc_status unlock(const shc_condition *handle) noexcept { return shc_condition_release(handle); }
inline shc_status unlock_shared(const shc_rwlock *handle) noexcept { return shc_rwlock_release_read(handle); }

/// A list of whatever length.
template <class T, class Call> std::vector<T> list(Call call) {
    std::vector<T> all;
    std::size_t count = 0;
    do {
        all.resize(count + 8);
        check(call(all.data(), all.size(), &count));
    } while (count > all.size());
    all.resize(count);
    return all;
}

/// Calls a function of C++ for C, through which nothing is thrown: what it throws waits here. One that
/// returns nothing has done well.
template <class Function> struct Callback {
    Function &function;
    std::exception_ptr thrown;

    static bool call(void *self) noexcept {
        auto &callback = *static_cast<Callback *>(self);
        try {
            if constexpr (std::is_void_v<decltype(callback.function())>) {
                callback.function();
                return true;
            } else {
                return static_cast<bool>(callback.function());
            }
        } catch (...) {
            callback.thrown = std::current_exception();
            return false;
        }
    }
};

template <class C> class Lockable;

} // namespace detail

/// Something to wait for with wait_any or a Bell: made by the objects' readable(), writable(), when_set() and
/// when_free(), and here of descriptors, which stay the caller's.
class Interest {
  public:
    /// That a descriptor can be read from, or has ended.
    static Interest readable(int fd) noexcept { return {SHC_FD_READABLE, fd, nullptr}; }
    /// That a descriptor can be written to, or has ended.
    static Interest writable(int fd) noexcept { return {SHC_FD_WRITABLE, fd, nullptr}; }
    /// The end of a process, by its pidfd; it need not be a participant.
    static Interest exited(int pidfd) noexcept { return readable(pidfd); }

    const shc_interest &native() const noexcept { return interest_; }

  private:
    friend class Lock;
    friend class Semaphore;
    friend class Event;
    friend class Queue;
    friend class Pipe;
    Interest(std::uint32_t what, int fd, const void *object) noexcept : interest_{what, fd, object} {}

    shc_interest interest_;
};

/// Bytes to be read that belong to somebody else: made of text, of a pointer and a size, or of whatever has
/// data() and size() of plain elements (std::string, std::vector, std::array).
class Bytes {
    template <class Container> using Element =
        std::remove_pointer_t<decltype(std::declval<const Container &>().data())>;

  public:
    constexpr Bytes() noexcept = default;
    Bytes(const void *data, std::size_t size) noexcept
        : data_(static_cast<const std::byte *>(data)), size_(size) {}
    /// Text up to its NUL.
    Bytes(const char *text) noexcept : Bytes(text, std::strlen(text)) {}
    template <class Container, class = std::enable_if_t<std::is_trivially_copyable_v<Element<Container>>>,
              class = decltype(std::declval<const Container &>().size())>
    Bytes(const Container &container) noexcept
        : Bytes(container.data(), container.size() * sizeof(Element<Container>)) {}

    const std::byte *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    const std::byte *begin() const noexcept { return data_; }
    const std::byte *end() const noexcept { return data_ + size_; }
    std::byte operator[](std::size_t index) const noexcept { return data_[index]; }

    /// The same bytes as text.
    std::string_view text() const noexcept { return {reinterpret_cast<const char *>(data_), size_}; }

    /// A copy as a plain value; throws SHC_ERR_WRONG_SIZE if the bytes are not as many as that has.
    template <class T> T as() const {
        static_assert(std::is_trivially_copyable_v<T> && std::is_default_constructible_v<T>);
        if (size_ != sizeof(T)) {
            throw Error(SHC_ERR_WRONG_SIZE,
                        "there are " + std::to_string(size_) + " bytes, not " + std::to_string(sizeof(T)));
        }
        T value;
        std::memcpy(&value, data_, sizeof value);
        return value;
    }

  private:
    const std::byte *data_ = nullptr;
    std::size_t size_ = 0;
};

/// The bytes of a plain value, valid as long as it is.
template <class T> Bytes bytes_of(const T &value) noexcept {
    static_assert(std::is_trivially_copyable_v<T> && !std::is_pointer_v<T>);
    return {&value, sizeof value};
}

/// How to create or open a segment; see shc_segment_options.
class SegmentOptions {
  public:
    SegmentOptions() noexcept { options_.struct_size = sizeof options_; }

    /// The size in bytes that a new segment may grow to. Default 1 GiB.
    SegmentOptions &limit(std::uint64_t bytes) noexcept { return options_.limit = bytes, *this; }
    /// How many processes may be attached at a time. Default 64, at most 4095.
    SegmentOptions &participants(std::uint32_t count) noexcept {
        return options_.participants = count, *this;
    }
    /// The permissions of a new segment, whatever the umask. Default 0600.
    SegmentOptions &mode(std::uint32_t mode) noexcept { return options_.mode = mode, *this; }
    /// The last participant to leave a new segment unlinks it.
    SegmentOptions &ephemeral(bool yes = true) noexcept { return flag(SHC_SEGMENT_EPHEMERAL, yes); }
    /// Open a segment that belongs to another user, who can change and truncate it at will.
    SegmentOptions &any_user(bool yes = true) noexcept { return flag(SHC_SEGMENT_ANY_USER, yes); }
    /// How long opening waits for somebody to create the segment. Default: not at all.
    template <class Rep, class Period>
    SegmentOptions &wait(const std::chrono::duration<Rep, Period> &duration) noexcept {
        return options_.wait_ns = static_cast<std::uint64_t>(detail::timeout(duration)), *this;
    }

    const shc_segment_options *native() const noexcept { return &options_; }

  private:
    SegmentOptions &flag(std::uint32_t flag, bool yes) noexcept {
        options_.flags = yes ? options_.flags | flag : options_.flags & ~flag;
        return *this;
    }

    shc_segment_options options_{};
};

/// What kind of object something is.
enum class Kind : std::uint32_t {
    value = SHC_KIND_VALUE,
    array = SHC_KIND_ARRAY,
    lock = SHC_KIND_LOCK,
    semaphore = SHC_KIND_SEMAPHORE,
    queue = SHC_KIND_QUEUE,
    pipe = SHC_KIND_PIPE,
    rlock = SHC_KIND_RLOCK,
    condition = SHC_KIND_CONDITION,
    event = SHC_KIND_EVENT,
    barrier = SHC_KIND_BARRIER,
    rwlock = SHC_KIND_RWLOCK,
};

/// An object of a segment.
struct ObjectInfo {
    std::string name;
    Kind kind;
    /// Its typecode, or 0.
    char typecode;
    /// The size of an element, or of the largest item, in bytes.
    std::uint64_t element_size;
    /// The number of elements, or the capacity in items.
    std::uint64_t count;
};

/// A participant of a segment.
struct Participant {
    /// Its label in the segment, from 1.
    std::uint32_t label;
    /// Its process id, in its own pid namespace.
    std::uint32_t pid;
    /// When its process started, in clock ticks since boot; 0 in a forked child.
    std::uint64_t start_time;
    std::string command;
    /// Whether it lives, by the kernel's word.
    bool alive;
};

/// A segment that this process is attached to.
class Segment {
  public:
    /// Throws SHC_ERR_ALREADY_EXISTS when the name is taken.
    static Segment create(std::string_view name, const SegmentOptions &options = {}) {
        return Segment(shc_segment_create, name, options);
    }
    static Segment open(std::string_view name, const SegmentOptions &options = {}) {
        return Segment(shc_segment_open, name, options);
    }
    static Segment open_or_create(std::string_view name, const SegmentOptions &options = {}) {
        return Segment(shc_segment_open_or_create, name, options);
    }
    /// A segment without a name, which nobody can unlink, squat or truncate. It is handed on by fork, and as
    /// a descriptor.
    static Segment create_anonymous(const SegmentOptions &options = {}) {
        return Segment(
            [&](shc_segment **out) { return shc_segment_create_anonymous(options.native(), out); });
    }
    /// Attaches to an anonymous segment by a descriptor of it, which stays the caller's.
    static Segment from_fd(int fd) {
        return Segment([&](shc_segment **out) { return shc_segment_from_fd(fd, out); });
    }
    /// Attaches to an anonymous segment that comes over a Unix socket; throws SHC_CLOSED when the socket was
    /// closed, or something else came.
    static Segment receive_over(int socket) {
        return Segment([&](shc_segment **out) { return shc_segment_receive_over(socket, out); });
    }
    /// Lays a new segment over `size` bytes of shared memory that the caller has mapped and keeps mapped,
    /// aligned to a page. `name` is that of the file that keeps the leases; unlink removes it.
    static Segment create_over(std::string_view name, void *memory, std::size_t size,
                               const SegmentOptions &options = {}) {
        return Segment([&](shc_segment **out) {
            return shc_segment_create_over(detail::Name(name), memory, size, options.native(), out);
        });
    }
    /// Attaches to a segment that was laid over the same memory, wherever this process has it mapped.
    static Segment open_over(std::string_view name, void *memory, std::size_t size,
                             const SegmentOptions &options = {}) {
        return Segment([&](shc_segment **out) {
            return shc_segment_open_over(detail::Name(name), memory, size, options.native(), out);
        });
    }
    /// Attaches to a segment that was laid over the same memory, or lays a new one over it.
    static Segment open_or_create_over(std::string_view name, void *memory, std::size_t size,
                                       const SegmentOptions &options = {}) {
        return Segment([&](shc_segment **out) {
            return shc_segment_open_or_create_over(detail::Name(name), memory, size, options.native(), out);
        });
    }
    /// The names of this machine's segments.
    static std::vector<std::string> names() {
        std::vector<std::string> all;
        for (const auto &info : detail::list<shc_segment_info>(shc_segment_names)) all.push_back(info.name);
        return all;
    }
    /// Takes the name from a segment. Who is attached goes on with it.
    static void unlink(std::string_view name) { detail::check(shc_segment_unlink(detail::Name(name))); }
    /// Removes ephemeral and unfinished segments that nobody lives in; how many.
    static std::size_t gc() {
        std::size_t removed = 0;
        detail::check(shc_gc(&removed));
        return removed;
    }

    /// Closes the segment now; throws SHC_ERR_BUSY, and the segment stays open, while objects of it are open
    /// in this process and this is its last handle to the segment. Destroying a Segment does not need this:
    /// it is closed with its last object.
    void close() {
        if (!attachment_) return;
        detail::check(shc_segment_close(attachment_->handle));
        attachment_->handle = nullptr;
        attachment_.reset();
    }

    /// A descriptor of an anonymous segment, for another process to attach by. The caller closes it.
    int to_fd() const { return get<std::int32_t>(shc_segment_to_fd); }
    /// Hands an anonymous segment over a connected Unix socket.
    void send_over(int socket) const { detail::check(shc_segment_send_over(native(), socket)); }

    std::string name() const {
        std::array<char, 256> text{};
        detail::check(shc_segment_name(native(), text.data(), text.size()));
        return text.data();
    }
    /// The size in bytes that it may grow to.
    std::uint64_t limit() const { return get<std::uint64_t>(shc_segment_limit); }
    /// The memory that it takes, in bytes.
    std::uint64_t size() const { return get<std::uint64_t>(shc_segment_size); }
    /// Whether its name was taken from it, or leads to another segment by now.
    bool is_unlinked() const { return get<bool>(shc_segment_is_unlinked); }
    /// Whether it has no name and never had one.
    bool is_anonymous() const { return get<bool>(shc_segment_is_anonymous); }
    /// Whether the last participant to leave unlinks it.
    bool is_ephemeral() const { return get<bool>(shc_segment_is_ephemeral); }
    /// Clears up after participants that have died; how many. Waiting calls do this by themselves.
    std::size_t recover() const { return get<std::size_t>(shc_segment_recover); }
    /// Takes the name from an object. Who has it open goes on with it.
    void remove(std::string_view name) const {
        detail::check(shc_segment_remove(native(), detail::Name(name)));
    }

    /// Its objects, in no particular order.
    std::vector<ObjectInfo> objects() const {
        std::vector<ObjectInfo> all;
        for (const auto &info : list<shc_object_info>(shc_segment_objects)) {
            all.push_back({info.name, static_cast<Kind>(info.kind), static_cast<char>(info.typecode),
                           info.element_size, info.count});
        }
        return all;
    }

    /// Its participants, those that have died and were not cleared up after included.
    std::vector<Participant> participants() const {
        std::vector<Participant> all;
        for (const auto &info : list<shc_participant_info>(shc_segment_participants))
            all.push_back({info.label, info.pid, info.start_time, info.command, info.alive});
        return all;
    }

    /// The handle for calls of C; NULL after close() or a move.
    shc_segment *native() const noexcept { return attachment_ ? attachment_->handle : nullptr; }

    /// What objects hold on to.
    const std::shared_ptr<detail::Attachment> &attachment() const {
        if (!native()) throw Error(SHC_ERR_INVALID_HANDLE, "the segment is closed");
        return attachment_;
    }

    Segment(Segment &&) noexcept = default;
    Segment &operator=(Segment &&) noexcept = default;
    Segment(const Segment &) = delete;
    Segment &operator=(const Segment &) = delete;

  private:
    template <class Call> explicit Segment(Call call) : attachment_(std::make_shared<detail::Attachment>()) {
        if (shc_abi_version() != detail::abi_version)
            throw Error(SHC_ERR_INCOMPATIBLE, "the library does not have the ABI that this header is for");
        detail::check(call(&attachment_->handle));
    }
    template <class Verb> Segment(Verb verb, std::string_view name, const SegmentOptions &options)
        : Segment([&](shc_segment **out) { return verb(detail::Name(name), options.native(), out); }) {}

    template <class T, class Call> T get(Call call) const {
        T out{};
        detail::check(call(native(), &out));
        return out;
    }

    template <class T, class Call> std::vector<T> list(Call call) const {
        return detail::list<T>(
            [&](T *list, std::size_t room, std::size_t *count) { return call(native(), list, room, count); });
    }

    std::shared_ptr<detail::Attachment> attachment_;
};

/// Holds a lock, and gives it back when destroyed. In a forked child it does nothing, unless the child has
/// acquired the same lock itself meanwhile: leave the guards of the parent behind before that. That of an
/// RLock or a Condition is destroyed by the thread that acquired it.
template <class C, shc_status (*GiveBack)(const C *) noexcept = detail::unlock> class [[nodiscard]] Guard {
  public:
    /// Whether the previous owner died while it held the lock, so that what it protects may be half changed.
    /// Every owner is told until one gives the lock back in good order.
    bool owner_died() const noexcept { return acquired_ == Acquired::owner_died; }

    /// Gives the lock back now, and throws if that fails.
    void unlock() {
        if (const C *handle = std::exchange(handle_, nullptr)) detail::check(GiveBack(handle));
    }
    /// Gives a Lock back so that nobody can acquire it any more: what it protects is beyond repair.
    void poison() {
        static_assert(std::is_same_v<C, shc_lock>, "only a Lock is poisoned");
        if (const C *handle = std::exchange(handle_, nullptr)) detail::check(shc_lock_poison(handle));
    }

    Guard(Guard &&other) noexcept
        : handle_(std::exchange(other.handle_, nullptr)), acquired_(other.acquired_) {}
    Guard &operator=(Guard &&other) noexcept {
        std::swap(handle_, other.handle_);
        std::swap(acquired_, other.acquired_);
        return *this;
    }
    Guard(const Guard &) = delete;
    Guard &operator=(const Guard &) = delete;
    ~Guard() {
        if (handle_) GiveBack(handle_);
    }

  private:
    friend class detail::Lockable<C>;
    friend class Lock;
    friend class RwLock;
    Guard(const C *handle, Acquired acquired) noexcept : handle_(handle), acquired_(acquired) {}

    const C *handle_;
    Acquired acquired_;
};

namespace detail {

/// What has a lock: TimedLockable, so that std::lock_guard, std::unique_lock and std::scoped_lock work.
template <class C> class Lockable {
  public:
    /// Acquires the lock, waiting for it.
    Acquired lock() { return remember(acquired(detail::lock(handle_.get(), never))); }
    /// Acquires the lock if it is free; whether it was.
    bool try_lock() { return within(now); }
    /// Acquires the lock in time; whether it could.
    template <class Rep, class Period> bool try_lock_for(const std::chrono::duration<Rep, Period> &duration) {
        return within(timeout(duration));
    }
    template <class Clock, class Duration>
    bool try_lock_until(const std::chrono::time_point<Clock, Duration> &time) {
        return within(timeout(time - Clock::now()));
    }
    /// Gives the lock back; throws SHC_ERR_NOT_HELD, or SHC_ERR_NOT_OWNER when another process holds it.
    void unlock() { check(detail::unlock(handle_.get())); }
    /// Whether the owner before died when the lock was last acquired through this very object. Ask while you
    /// hold it.
    bool owner_died() const noexcept { return last_ == Acquired::owner_died; }

    /// Acquires the lock, and holds it as long as the guard lives.
    Guard<C> guard() { return {handle_.get(), lock()}; }
    /// The same if the lock is free.
    Result<Guard<C>> try_guard() { return guarded(now); }
    /// The same in time.
    template <class Rep, class Period>
    Result<Guard<C>> guard_for(const std::chrono::duration<Rep, Period> &duration) {
        return guarded(timeout(duration));
    }

    /// The handle for calls of C; NULL after a move.
    C *native() const noexcept { return handle_.get(); }

  protected:
    /// An object of which no more than its name is asked.
    template <class Verb> Lockable(Verb verb, const Segment &segment, std::string_view name)
        : Lockable(make<C>(segment.attachment(),
                           [&](shc_segment *in, C **out) { return verb(in, Name(name), out); })) {}
    explicit Lockable(Handle<C> handle) noexcept : handle_(std::move(handle)) {}

    Acquired remember(Acquired acquired) noexcept { return last_ = acquired; }

    Handle<C> handle_;

  private:
    bool within(std::int64_t timeout_ns) {
        const shc_status status = detail::lock(handle_.get(), timeout_ns);
        if (status == SHC_WOULD_BLOCK || status == SHC_TIMED_OUT) return false;
        remember(acquired(status));
        return true;
    }

    Result<Guard<C>> guarded(std::int64_t timeout_ns) {
        if (within(timeout_ns)) return Guard<C>(handle_.get(), last_);
        return Outcome(timeout_ns == now ? SHC_WOULD_BLOCK : SHC_TIMED_OUT);
    }

    Acquired last_ = Acquired::clean;
};

} // namespace detail

/// A mutual exclusion lock, not recursive. A process owns it: any of its threads may release it, and no other
/// process.
class Lock : public detail::Lockable<shc_lock> {
  public:
    using Guard = sharecell::Guard<shc_lock>;

    static Lock create(const Segment &segment, std::string_view name) {
        return Lock(shc_lock_create, segment, name);
    }
    static Lock open(const Segment &segment, std::string_view name) {
        return Lock(shc_lock_open, segment, name);
    }
    static Lock open_or_create(const Segment &segment, std::string_view name) {
        return Lock(shc_lock_open_or_create, segment, name);
    }

    /// The label of the participant that holds the lock, 0 if nobody does.
    std::uint32_t holder() const {
        std::uint32_t label = 0;
        detail::check(shc_lock_holder(native(), &label));
        return label;
    }

    /// Acquires the lock, and calls `repair` before anybody else can have it if its last owner died. When
    /// that returns false or throws, what the lock protects is beyond repair and the lock is not held:
    /// Poisoned (or what was thrown) here, and Poisoned for all others, until somebody clears that.
    template <class Repair> Guard guard_or_repair(Repair &&repair) {
        detail::check(acquire_or_repair(detail::never, repair));
        return {native(), remember(Acquired::clean)};
    }
    /// The same in time.
    template <class Rep, class Period, class Repair>
    Result<Guard> guard_or_repair_for(const std::chrono::duration<Rep, Period> &duration, Repair &&repair) {
        const shc_status status = acquire_or_repair(detail::timeout(duration), repair);
        if (status == SHC_WOULD_BLOCK || status == SHC_TIMED_OUT) return Outcome(status);
        detail::check(status);
        return Guard(native(), remember(Acquired::clean));
    }

    /// Gives the lock back so that nobody can acquire it any more: what it protects is beyond repair. All get
    /// Poisoned, until somebody clears that.
    void poison() { detail::check(shc_lock_poison(native())); }
    /// Whether what the lock protects was declared beyond repair.
    bool is_poisoned() const {
        bool is = false;
        detail::check(shc_lock_is_poisoned(native(), &is));
        return is;
    }
    /// Lets the lock be acquired again, when what it protects was made anew; whether it was poisoned.
    bool clear_poison() {
        bool was = false;
        detail::check(shc_lock_clear_poison(native(), &was));
        return was;
    }

    /// That nobody holds the lock.
    Interest when_free() const noexcept { return {SHC_LOCK_FREE, -1, native()}; }

  private:
    using Lockable::Lockable;

    template <class Repair> shc_status acquire_or_repair(std::int64_t timeout_ns, Repair &repair) {
        detail::Callback<Repair> callback{repair, nullptr};
        const shc_status status =
            shc_lock_acquire_or_repair(native(), timeout_ns, detail::Callback<Repair>::call, &callback);
        if (callback.thrown) std::rethrow_exception(callback.thrown);
        return status;
    }
};

/// A lock that the thread which holds it can take again; it is free when that thread has released it as
/// often. Of an owner that died the outermost lock() is told.
class RLock : public detail::Lockable<shc_rlock> {
  public:
    using Guard = sharecell::Guard<shc_rlock>;

    static RLock create(const Segment &segment, std::string_view name) {
        return RLock(shc_rlock_create, segment, name);
    }
    static RLock open(const Segment &segment, std::string_view name) {
        return RLock(shc_rlock_open, segment, name);
    }
    static RLock open_or_create(const Segment &segment, std::string_view name) {
        return RLock(shc_rlock_open_or_create, segment, name);
    }

    /// The label of the participant that holds the lock, 0 if nobody does.
    std::uint32_t holder() const {
        std::uint32_t label = 0;
        detail::check(shc_rlock_holder(native(), &label));
        return label;
    }

  private:
    using Lockable::Lockable;
};

/// A lock that any number of readers hold together, or one writer alone: SharedTimedLockable, so that
/// std::shared_lock works. Not recursive. lock() and guard() are the writer's, and owner_died() tells of a
/// writer that died what the last writer through this very object was told; readers ask what lock_shared()
/// returned, or their guard.
class RwLock : public detail::Lockable<shc_rwlock> {
  public:
    using Guard = sharecell::Guard<shc_rwlock>;
    using SharedGuard = sharecell::Guard<shc_rwlock, detail::unlock_shared>;

    static RwLock create(const Segment &segment, std::string_view name) {
        return RwLock(shc_rwlock_create, segment, name);
    }
    static RwLock open(const Segment &segment, std::string_view name) {
        return RwLock(shc_rwlock_open, segment, name);
    }
    static RwLock open_or_create(const Segment &segment, std::string_view name) {
        return RwLock(shc_rwlock_open_or_create, segment, name);
    }

    /// Acquires the lock for reading, waiting for it.
    Acquired lock_shared() { return detail::acquired(shc_rwlock_acquire_read(native(), detail::never)); }
    /// Acquires the lock for reading if no writer has it or waits for it; whether it could.
    bool try_lock_shared() { return shared_within(detail::now).has_value(); }
    /// Acquires the lock for reading in time; whether it could.
    template <class Rep, class Period>
    bool try_lock_shared_for(const std::chrono::duration<Rep, Period> &duration) {
        return shared_within(detail::timeout(duration)).has_value();
    }
    template <class Clock, class Duration>
    bool try_lock_shared_until(const std::chrono::time_point<Clock, Duration> &time) {
        return shared_within(detail::timeout(time - Clock::now())).has_value();
    }
    /// Gives the lock back after reading; throws SHC_ERR_NOT_HELD when no thread of this process reads.
    void unlock_shared() { detail::check(shc_rwlock_release_read(native())); }

    /// Acquires the lock for reading, and holds it as long as the guard lives.
    SharedGuard shared_guard() { return {native(), lock_shared()}; }
    /// The same if no writer has it or waits for it.
    Result<SharedGuard> try_shared_guard() { return shared_guarded(detail::now); }
    /// The same in time.
    template <class Rep, class Period>
    Result<SharedGuard> shared_guard_for(const std::chrono::duration<Rep, Period> &duration) {
        return shared_guarded(detail::timeout(duration));
    }

  private:
    using Lockable::Lockable;

    Result<Acquired> shared_within(std::int64_t timeout_ns) {
        const shc_status status = shc_rwlock_acquire_read(native(), timeout_ns);
        if (status == SHC_WOULD_BLOCK || status == SHC_TIMED_OUT) return Outcome(status);
        return detail::acquired(status);
    }

    Result<SharedGuard> shared_guarded(std::int64_t timeout_ns) {
        const Result<Acquired> acquired = shared_within(timeout_ns);
        if (!acquired) return acquired.outcome();
        return SharedGuard(native(), *acquired);
    }
};

/// Reads, and gives an RwLock back when destroyed.
using SharedGuard = RwLock::SharedGuard;

/// A condition variable with its lock, which is reentrant. Only who holds the lock waits and notifies; both
/// throw SHC_ERR_NOT_HELD or SHC_ERR_NOT_OWNER without it. A notification that is spent on a process which
/// dies passes on.
class Condition : public detail::Lockable<shc_condition> {
  public:
    using Guard = sharecell::Guard<shc_condition>;

    static Condition create(const Segment &segment, std::string_view name) {
        return Condition(shc_condition_create, segment, name);
    }
    static Condition open(const Segment &segment, std::string_view name) {
        return Condition(shc_condition_open, segment, name);
    }
    static Condition open_or_create(const Segment &segment, std::string_view name) {
        return Condition(shc_condition_open_or_create, segment, name);
    }

    /// Gives the lock back, waits for a notification, and takes the lock again. When SHC_INTERRUPTED is
    /// thrown the lock is held, too.
    Acquired wait() { return remember(detail::acquired(shc_condition_wait(native(), detail::never))); }
    /// Waits until `ready` returns true, which is asked with the lock held.
    template <class Predicate> void wait(Predicate ready) {
        while (!ready()) wait();
    }
    /// Waits for a notification that long; whether it came. The lock is held either way.
    template <class Rep, class Period>
    [[nodiscard]] bool wait_for(const std::chrono::duration<Rep, Period> &duration) {
        return within(detail::timeout(duration));
    }
    /// Waits until `ready` returns true, that long at most; what it returned last.
    template <class Rep, class Period, class Predicate>
    [[nodiscard]] bool wait_for(const std::chrono::duration<Rep, Period> &duration, Predicate ready) {
        const detail::Countdown countdown(detail::timeout(duration));
        while (!ready()) {
            if (!within(countdown.left())) return ready();
        }
        return true;
    }
    /// Wakes up to `count` of those who wait, the longest waiting first.
    void notify(std::size_t count = 1) { detail::check(shc_condition_notify(native(), count)); }
    /// Wakes all who wait.
    void notify_all() { notify(SIZE_MAX); }
    /// How many wait.
    std::size_t waiters() const {
        std::size_t count = 0;
        detail::check(shc_condition_waiters(native(), &count));
        return count;
    }

  private:
    using Lockable::Lockable;

    bool within(std::int64_t timeout_ns) {
        const shc_status status = shc_condition_wait(native(), timeout_ns);
        if (status == SHC_WOULD_BLOCK || status == SHC_TIMED_OUT) return false;
        remember(detail::acquired(status));
        return true;
    }
};

/// A single value of a number, bool, char or plain_data type, with a lock of its own. Reads and writes are
/// atomic at any size.
template <class T> class Value : public detail::Lockable<shc_value> {
  public:
    static Value create(const Segment &segment, std::string_view name, const T &initial = T{}) {
        return Value(segment, [&](shc_segment *in, const shc_type *type, shc_value **out) {
            return shc_value_create(in, detail::Name(name), type, &initial, out);
        });
    }
    static Value open(const Segment &segment, std::string_view name) {
        return Value(segment, [&](shc_segment *in, const shc_type *type, shc_value **out) {
            return shc_value_open(in, detail::Name(name), type, out);
        });
    }
    static Value open_or_create(const Segment &segment, std::string_view name, const T &initial = T{}) {
        return Value(segment, [&](shc_segment *in, const shc_type *type, shc_value **out) {
            return shc_value_open_or_create(in, detail::Name(name), type, &initial, out);
        });
    }

    T get() const {
        T value{};
        detail::check(shc_value_get(native(), &value, sizeof value));
        detail::settle(&value, 1);
        return value;
    }
    void set(const T &value) { detail::check(shc_value_set(native(), &value, sizeof value)); }
    /// Sets the value; what it was before.
    T exchange(const T &value) {
        T old{};
        detail::check(shc_value_exchange(native(), &value, sizeof value, &old));
        detail::settle(&old, 1);
        return old;
    }
    /// Sets the value if it is `expected`, byte by byte; else that becomes what it was. Whether it was set.
    bool compare_exchange(T &expected, const T &desired) {
        T old{};
        bool changed = false;
        detail::check(
            shc_value_compare_exchange(native(), &expected, &desired, sizeof expected, &old, &changed));
        detail::settle(&old, 1);
        expected = old;
        return changed;
    }
    /// Sets the value to what `function` makes of it, atomically; the value before. If somebody else changes
    /// it meanwhile, `function` is called again.
    template <class Function> T update(Function &&function) {
        T old = get();
        while (!compare_exchange(old, function(old))) continue;
        return old;
    }
    /// Adds to a number; integers wrap around. What it was before.
    T add(T amount) {
        static_assert(detail::is_integer<T> || std::is_floating_point_v<T>, "only numbers are added to");
        if constexpr (std::is_floating_point_v<T>) {
            double old = 0;
            detail::check(shc_value_add_float(native(), amount, &old));
            return static_cast<T>(old);
        } else {
            // The same bits as a signed number, since C takes the amount as one.
            std::int64_t old = 0;
            detail::check(shc_value_add_int(native(), static_cast<std::make_signed_t<T>>(amount), &old));
            return static_cast<T>(old);
        }
    }
    /// Where a value of 1, 2, 4 or 8 bytes lies, while this is open. Others read and write it at any time.
    T *address() const {
        static_assert(sizeof(T) == 1 || sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8,
                      "wider values are only read and written as a whole");
        void *address = nullptr;
        detail::check(shc_value_address(native(), &address));
        return static_cast<T *>(address);
    }

  private:
    template <class Call> Value(const Segment &segment, Call call)
        : Lockable(detail::make<shc_value>(segment.attachment(), [&](shc_segment *in, shc_value **out) {
              const shc_type type = detail::element_type<T>();
              return call(in, &type, out);
          })) {}
};

/// An array of fixed length of numbers, bools, chars or plain_data, with a lock of its own. Elements of 1, 2,
/// 4 or 8 bytes are read and written whole by get, set, read, write and fill; through data() they are plain
/// memory, which others read and write at any time: hold the lock.
template <class T> class Array : public detail::Lockable<shc_array> {
  public:
    /// Creates an array of `size` elements, all zero bytes.
    static Array create(const Segment &segment, std::string_view name, std::size_t size) {
        return Array(segment, [&](shc_segment *in, const shc_type *type, shc_array **out) {
            return shc_array_create(in, detail::Name(name), type, size, out);
        });
    }
    /// Opens an array of any length.
    static Array open(const Segment &segment, std::string_view name) {
        return Array(segment, [&](shc_segment *in, const shc_type *type, shc_array **out) {
            return shc_array_open(in, detail::Name(name), type, out);
        });
    }
    static Array open_or_create(const Segment &segment, std::string_view name, std::size_t size) {
        return Array(segment, [&](shc_segment *in, const shc_type *type, shc_array **out) {
            return shc_array_open_or_create(in, detail::Name(name), type, size, out);
        });
    }

    /// The number of elements; 0 after a move.
    std::size_t size() const noexcept {
        std::size_t size = 0;
        shc_array_len(native(), &size);
        return size;
    }
    bool empty() const noexcept { return size() == 0; }

    T get(std::size_t index) const {
        T element{};
        read(index, &element, 1);
        return element;
    }
    void set(std::size_t index, const T &element) { write(index, &element, 1); }
    /// Copies `count` elements from index `start` on to `out`.
    void read(std::size_t start, T *out, std::size_t count) const {
        detail::check(shc_array_read(native(), start, out, bytes(count)));
        detail::settle(out, count);
    }
    /// Copies `count` elements to those from index `start` on.
    void write(std::size_t start, const T *elements, std::size_t count) {
        detail::check(shc_array_write(native(), start, elements, bytes(count)));
    }
    /// Makes all elements equal to this one.
    void fill(const T &element) { fill(0, size(), element); }
    /// Makes `count` elements from index `start` on equal to this one.
    void fill(std::size_t start, std::size_t count, const T &element) {
        detail::check(shc_array_fill(native(), start, count, &element, sizeof element));
    }
    /// A copy of all elements.
    std::vector<T> to_vector() const {
        std::vector<T> all(size());
        if constexpr (std::is_same_v<T, bool>) {
            for (std::size_t i = 0; i < all.size(); i++) all[i] = get(i);
        } else {
            read(0, all.data(), all.size());
        }
        return all;
    }

    /// Where the elements lie, while this is open; NULL after a move.
    T *data() const noexcept {
        void *address = nullptr;
        shc_array_address(native(), &address);
        return static_cast<T *>(address);
    }
    T *begin() const noexcept { return data(); }
    T *end() const noexcept { return data() + size(); }

    /// Of an array of char: the text up to the first NUL.
    std::string text() const {
        static_assert(std::is_same_v<T, char>, "only arrays of char are text");
        std::string text(size(), '\0');
        std::size_t length = 0;
        detail::check(shc_array_get_text(native(), text.data(), text.size(), &length));
        text.resize(length);
        return text;
    }
    /// Of an array of char: copies text to its start, and a NUL behind if there is room. Throws
    /// SHC_ERR_TOO_LARGE if it does not fit.
    void set_text(std::string_view text) {
        static_assert(std::is_same_v<T, char>, "only arrays of char are text");
        detail::check(shc_array_set_text(native(), text.data(), text.size()));
    }
    /// Of an array of char: all of it.
    std::string raw() const {
        static_assert(std::is_same_v<T, char>, "only arrays of char are text");
        std::string text(size(), '\0');
        read(0, text.data(), text.size());
        return text;
    }

  private:
    template <class Call> Array(const Segment &segment, Call call)
        : Lockable(detail::make<shc_array>(segment.attachment(), [&](shc_segment *in, shc_array **out) {
              const shc_type type = detail::element_type<T>();
              return call(in, &type, out);
          })) {}

    /// More elements than can be are a number of bytes that C refuses.
    static std::size_t bytes(std::size_t count) noexcept {
        return count > SIZE_MAX / 2 / sizeof(T) ? SIZE_MAX : count * sizeof(T);
    }
};

/// How to create a semaphore; see shc_semaphore_create_with.
class SemaphoreOptions {
  public:
    /// With a first value.
    explicit SemaphoreOptions(std::uint32_t value) noexcept : value_(value) {}

    /// A release beyond the first value is an error.
    SemaphoreOptions &bounded(bool yes = true) noexcept { return flag(SHC_SEMAPHORE_BOUNDED, yes); }
    /// Permits are owned by processes: those of one that is killed come back, only who holds one can release
    /// it, and the value never exceeds the first one, at most 65536.
    SemaphoreOptions &undo(bool yes = true) noexcept { return flag(SHC_SEMAPHORE_UNDO, yes); }

    std::uint32_t value() const noexcept { return value_; }
    /// As C has them.
    std::uint32_t flags() const noexcept { return flags_; }

  private:
    SemaphoreOptions &flag(std::uint32_t flag, bool yes) noexcept {
        flags_ = yes ? flags_ | flag : flags_ & ~flag;
        return *this;
    }

    std::uint32_t value_;
    std::uint32_t flags_ = 0;
};

/// A counting semaphore, as std::counting_semaphore. A killed process does not give back what it had
/// acquired, unless the semaphore was created with undo.
class Semaphore {
  public:
    /// The most that a semaphore can be.
    static constexpr std::uint32_t max() noexcept { return 2147483647; }

    static Semaphore create(const Segment &segment, std::string_view name, std::uint32_t value) {
        return Semaphore(segment, [&](shc_segment *in, shc_semaphore **out) {
            return shc_semaphore_create(in, detail::Name(name), value, out);
        });
    }
    static Semaphore open(const Segment &segment, std::string_view name) {
        return Semaphore(segment, [&](shc_segment *in, shc_semaphore **out) {
            return shc_semaphore_open(in, detail::Name(name), out);
        });
    }
    static Semaphore open_or_create(const Segment &segment, std::string_view name, std::uint32_t value) {
        return Semaphore(segment, [&](shc_segment *in, shc_semaphore **out) {
            return shc_semaphore_open_or_create(in, detail::Name(name), value, out);
        });
    }
    static Semaphore create(const Segment &segment, std::string_view name, const SemaphoreOptions &options) {
        return Semaphore(segment, [&](shc_segment *in, shc_semaphore **out) {
            return shc_semaphore_create_with(in, detail::Name(name), options.value(), options.flags(), out);
        });
    }
    /// Opens a semaphore of the same options, whatever its value, or creates it.
    static Semaphore open_or_create(const Segment &segment, std::string_view name,
                                    const SemaphoreOptions &options) {
        return Semaphore(segment, [&](shc_segment *in, shc_semaphore **out) {
            return shc_semaphore_open_or_create_with(in, detail::Name(name), options.value(), options.flags(),
                                                     out);
        });
    }

    /// Acquires a permit, waiting for one.
    void acquire() { detail::check(shc_semaphore_acquire(native(), detail::never)); }
    /// Acquires a permit if there is one; whether there was.
    bool try_acquire() { return within(detail::now); }
    /// Acquires a permit in time; whether it could.
    template <class Rep, class Period>
    bool try_acquire_for(const std::chrono::duration<Rep, Period> &duration) {
        return within(detail::timeout(duration));
    }
    /// Adds permits; throws SHC_ERR_OVERFLOW beyond max() or its bound, SHC_ERR_NOT_HELD of one with undo
    /// that this process does not hold, and then nothing was added.
    void release(std::uint32_t permits = 1) { detail::check(shc_semaphore_release(native(), permits)); }
    /// The value at this moment.
    std::uint32_t value() const {
        std::uint32_t value = 0;
        detail::check(shc_semaphore_value(native(), &value));
        return value;
    }

    /// That a permit can be acquired.
    Interest when_free() const noexcept { return {SHC_SEMAPHORE_FREE, -1, native()}; }

    /// The handle for calls of C; NULL after a move.
    shc_semaphore *native() const noexcept { return handle_.get(); }

  private:
    template <class Call> Semaphore(const Segment &segment, Call call)
        : handle_(detail::make<shc_semaphore>(segment.attachment(), call)) {}

    bool within(std::int64_t timeout_ns) {
        return bool(detail::outcome(shc_semaphore_acquire(native(), timeout_ns)));
    }

    detail::Handle<shc_semaphore> handle_;
};

/// A flag that can be waited for.
class Event {
  public:
    static Event create(const Segment &segment, std::string_view name) {
        return Event(shc_event_create, segment, name);
    }
    static Event open(const Segment &segment, std::string_view name) {
        return Event(shc_event_open, segment, name);
    }
    static Event open_or_create(const Segment &segment, std::string_view name) {
        return Event(shc_event_open_or_create, segment, name);
    }

    /// Sets the flag and wakes all who wait.
    void set() { detail::check(shc_event_set(native())); }
    void clear() { detail::check(shc_event_clear(native())); }
    bool is_set() const {
        bool is = false;
        detail::check(shc_event_is_set(native(), &is));
        return is;
    }
    /// Waits until the flag is set.
    void wait() const { detail::check(shc_event_wait(native(), detail::never)); }
    /// Waits for that so long; whether it came in time.
    template <class Rep, class Period>
    [[nodiscard]] bool wait_for(const std::chrono::duration<Rep, Period> &duration) const {
        return bool(detail::outcome(shc_event_wait(native(), detail::timeout(duration))));
    }

    /// That the flag is set.
    Interest when_set() const noexcept { return {SHC_EVENT_SET, -1, native()}; }

    /// The handle for calls of C; NULL after a move.
    shc_event *native() const noexcept { return handle_.get(); }

  private:
    template <class Verb> Event(Verb verb, const Segment &segment, std::string_view name)
        : handle_(detail::make<shc_event>(segment.attachment(), [&](shc_segment *in, shc_event **out) {
              return verb(in, detail::Name(name), out);
          })) {}

    detail::Handle<shc_event> handle_;
};

/// A meeting point: each of a fixed number of parties waits until all have come. It breaks when one who has
/// come is killed, gives up or aborts it, or when the action fails, until it is reset; who waits or comes
/// then gets an Error of SHC_BROKEN.
class Barrier {
  public:
    static Barrier create(const Segment &segment, std::string_view name, std::uint32_t parties) {
        return Barrier(segment, [&](shc_segment *in, shc_barrier **out) {
            return shc_barrier_create(in, detail::Name(name), parties, out);
        });
    }
    static Barrier open(const Segment &segment, std::string_view name) {
        return Barrier(segment, [&](shc_segment *in, shc_barrier **out) {
            return shc_barrier_open(in, detail::Name(name), out);
        });
    }
    /// Opens a barrier for as many parties, or creates it.
    static Barrier open_or_create(const Segment &segment, std::string_view name, std::uint32_t parties) {
        return Barrier(segment, [&](shc_segment *in, shc_barrier **out) {
            return shc_barrier_open_or_create(in, detail::Name(name), parties, out);
        });
    }

    /// Waits for the others; this party's number in order of arrival.
    std::size_t wait() { return within(detail::never); }
    /// The same; the last party to arrive calls `action` before any goes on. If that throws, or returns
    /// false, the barrier is broken.
    template <class Action> std::size_t wait(Action &&action) { return within(detail::never, action); }
    /// Waits that long; when the time is up the barrier is broken.
    template <class Rep, class Period>
    std::size_t wait_for(const std::chrono::duration<Rep, Period> &duration) {
        return within(detail::timeout(duration));
    }
    /// The same with an action.
    template <class Rep, class Period, class Action>
    std::size_t wait_for(const std::chrono::duration<Rep, Period> &duration, Action &&action) {
        return within(detail::timeout(duration), action);
    }
    /// Breaks the barrier for all who wait and all who come, until it is reset.
    void abort() { detail::check(shc_barrier_abort(native())); }
    /// Begins a new round, whole. Those who wait find the barrier broken.
    void reset() { detail::check(shc_barrier_reset(native())); }
    /// How many parties it takes.
    std::size_t parties() const { return ask<std::size_t>(shc_barrier_parties); }
    /// How many wait; 0 when it is broken.
    std::size_t n_waiting() const { return ask<std::size_t>(shc_barrier_n_waiting); }
    bool is_broken() const { return ask<bool>(shc_barrier_is_broken); }

    /// The handle for calls of C; NULL after a move.
    shc_barrier *native() const noexcept { return handle_.get(); }

  private:
    template <class Call> Barrier(const Segment &segment, Call call)
        : handle_(detail::make<shc_barrier>(segment.attachment(), call)) {}

    template <class T, class Call> T ask(Call call) const {
        T out{};
        detail::check(call(native(), &out));
        return out;
    }

    std::size_t within(std::int64_t timeout_ns) {
        std::size_t number = 0;
        detail::check(shc_barrier_wait(native(), timeout_ns, &number));
        return number;
    }

    template <class Action> std::size_t within(std::int64_t timeout_ns, Action &action) {
        detail::Callback<Action> callback{action, nullptr};
        std::size_t number = 0;
        const shc_status status =
            shc_barrier_wait_with(native(), timeout_ns, detail::Callback<Action>::call, &callback, &number);
        if (callback.thrown) std::rethrow_exception(callback.thrown);
        detail::check(status);
        return number;
    }

    detail::Handle<shc_barrier> handle_;
};

namespace detail {

/// As Callback, of a function that takes bytes where they lie, and says whether they are taken.
template <class Take> struct Taker {
    Take &take;
    std::exception_ptr thrown;

    static bool call(void *self, const void *data, std::size_t size) noexcept {
        auto &taker = *static_cast<Taker *>(self);
        try {
            return static_cast<bool>(taker.take(Bytes(data, size)));
        } catch (...) {
            taker.thrown = std::current_exception();
            return false;
        }
    }
};

inline shc_status take(const shc_queue *queue, std::int64_t t, shc_item *out) noexcept {
    return shc_queue_recv(queue, t, out);
}
inline shc_status take(const shc_pipe *pipe, std::int64_t t, shc_item *out) noexcept {
    return shc_pipe_recv_in_place(pipe, t, out);
}
inline shc_status release(const shc_queue *queue, const shc_item *item) noexcept {
    return shc_queue_release(queue, item);
}
inline shc_status release(const shc_pipe *pipe, const shc_item *item) noexcept {
    return shc_pipe_release(pipe, item);
}
inline shc_status put_back(const shc_queue *queue, const shc_item *item) noexcept {
    return shc_queue_put_back(queue, item);
}
inline shc_status put_back(const shc_pipe *pipe, const shc_item *item) noexcept {
    return shc_pipe_put_back(pipe, item);
}
inline shc_status reserve(const shc_queue *queue, std::size_t size, std::int64_t t, shc_slot *out) noexcept {
    return shc_queue_reserve(queue, size, t, out);
}
inline shc_status reserve(const shc_pipe *pipe, std::size_t size, std::int64_t t, shc_slot *out) noexcept {
    return shc_pipe_reserve(pipe, size, t, out);
}
inline shc_status commit(const shc_queue *queue, const shc_slot *slot, std::size_t size) noexcept {
    return shc_queue_commit(queue, slot, size);
}
inline shc_status commit(const shc_pipe *pipe, const shc_slot *slot, std::size_t size) noexcept {
    return shc_pipe_commit(pipe, slot, size);
}
inline shc_status abort(const shc_queue *queue, const shc_slot *slot) noexcept {
    return shc_queue_abort(queue, slot);
}
inline shc_status abort(const shc_pipe *pipe, const shc_slot *slot) noexcept {
    return shc_pipe_abort(pipe, slot);
}

} // namespace detail

/// An item or message that was taken, read where it lies. Destroying it is the receipt: it is done with. If
/// this process dies before, it is delivered to somebody else.
template <class C> class [[nodiscard]] Taken {
  public:
    const std::byte *data() const noexcept { return bytes().data(); }
    std::size_t size() const noexcept { return item_.len; }
    bool empty() const noexcept { return item_.len == 0; }
    const std::byte *begin() const noexcept { return bytes().begin(); }
    const std::byte *end() const noexcept { return bytes().end(); }

    /// Its bytes, valid as long as this is held.
    Bytes bytes() const noexcept { return {item_.data, item_.len}; }
    /// Its bytes as text, valid as long as this is held.
    std::string_view text() const noexcept { return bytes().text(); }
    /// A copy as a plain value; throws SHC_ERR_WRONG_SIZE if that has another size.
    template <class T> T as() const { return bytes().template as<T>(); }
    /// Its number: unique in its queue, and the same at each delivery.
    std::uint64_t number() const noexcept { return item_.number; }
    /// How often it was delivered, this time included.
    std::uint32_t deliveries() const noexcept { return item_.deliveries; }

    /// Gives it back now: it is done with.
    void release() {
        if (const C *from = std::exchange(from_, nullptr)) detail::check(detail::release(from, &item_));
    }
    /// Gives it back undone, or unread: it is delivered again.
    void put_back() {
        if (const C *from = std::exchange(from_, nullptr)) detail::check(detail::put_back(from, &item_));
    }

    Taken(const C *from, const shc_item &item) noexcept : from_(from), item_(item) {}
    Taken(Taken &&other) noexcept : from_(std::exchange(other.from_, nullptr)), item_(other.item_) {}
    Taken &operator=(Taken &&other) noexcept {
        std::swap(from_, other.from_);
        std::swap(item_, other.item_);
        return *this;
    }
    Taken(const Taken &) = delete;
    Taken &operator=(const Taken &) = delete;
    ~Taken() {
        if (from_) detail::release(from_, &item_);
    }

  private:
    const C *from_;
    shc_item item_;
};

/// A place that is being written. Destroying it gives it back, and so does this process's death: nothing was
/// put.
template <class C> class [[nodiscard]] Reserved {
  public:
    std::byte *data() noexcept { return static_cast<std::byte *>(slot_.data); }
    std::size_t size() const noexcept { return slot_.len; }
    std::byte *begin() noexcept { return data(); }
    std::byte *end() noexcept { return data() + size(); }
    std::byte &operator[](std::size_t index) noexcept { return data()[index]; }

    /// Puts or sends all of it.
    void commit() { commit(size()); }
    /// Puts or sends its first `size` bytes; throws SHC_ERR_INVALID_ARGUMENT if it has fewer, and can still
    /// be committed.
    void commit(std::size_t size) {
        detail::check(detail::commit(to_, &slot_, size));
        to_ = nullptr;
    }
    /// Gives it back now.
    void abort() {
        if (const C *to = std::exchange(to_, nullptr)) detail::check(detail::abort(to, &slot_));
    }

    Reserved(const C *to, const shc_slot &slot) noexcept : to_(to), slot_(slot) {}
    Reserved(Reserved &&other) noexcept : to_(std::exchange(other.to_, nullptr)), slot_(other.slot_) {}
    Reserved &operator=(Reserved &&other) noexcept {
        std::swap(to_, other.to_);
        std::swap(slot_, other.slot_);
        return *this;
    }
    Reserved(const Reserved &) = delete;
    Reserved &operator=(const Reserved &) = delete;
    ~Reserved() {
        if (to_) detail::abort(to_, &slot_);
    }

  private:
    const C *to_;
    shc_slot slot_;
};

/// An item of a queue, in place.
using Item = Taken<shc_queue>;
/// A message of a pipe, in place.
using Message = Taken<shc_pipe>;
/// A place in a queue.
using Slot = Reserved<shc_queue>;
/// A place in a pipe.
using MessageSlot = Reserved<shc_pipe>;

namespace detail {

template <class C> Result<Taken<C>> taken(const C *from, std::int64_t timeout_ns) {
    shc_item item{};
    const Outcome end = outcome(take(from, timeout_ns, &item));
    if (!end) return end;
    return Taken<C>(from, item);
}

template <class C> Result<Reserved<C>> reserved(const C *to, std::size_t size, std::int64_t timeout_ns) {
    shc_slot slot{};
    const Outcome end = outcome(reserve(to, size, timeout_ns, &slot));
    if (!end) return end;
    return Reserved<C>(to, slot);
}

/// A copy of what was taken. It is put back where there is no memory for the copy.
template <class C> Result<std::vector<std::byte>> copied(const C *from, std::int64_t timeout_ns) {
    Result<Taken<C>> taken = detail::taken(from, timeout_ns);
    if (!taken) return taken.outcome();
    try {
        std::vector<std::byte> copy(taken->begin(), taken->end());
        taken->release();
        return copy;
    } catch (const std::bad_alloc &) {
        taken->put_back();
        throw;
    }
}

/// What was got from a joinable queue: counted until task_done, which what is taken in place is not. The
/// memory for it is there before it is taken.
inline Result<std::vector<std::byte>> got(const shc_queue *from, std::int64_t timeout_ns) {
    const Countdown countdown(timeout_ns);
    std::vector<std::byte> copy(256);
    std::size_t size = 0;
    for (;;) {
        const shc_status status = shc_queue_get(from, copy.data(), copy.size(), countdown.left(), &size);
        if (status == SHC_OK) break;
        if (status != SHC_ERR_BUFFER_TOO_SMALL) return outcome(status);
        copy.resize(4 * copy.size());
    }
    copy.resize(size);
    return copy;
}

} // namespace detail

/// How to create a queue; see shc_queue_options.
class QueueOptions {
  public:
    /// For so many items.
    explicit QueueOptions(std::uint64_t capacity = 1024) noexcept {
        options_.struct_size = sizeof options_;
        options_.capacity = capacity;
    }

    /// The largest item in bytes. Default: as large as the segment admits.
    QueueOptions &max_item(std::uint64_t bytes) noexcept { return options_.max_item = bytes, *this; }
    /// The most bytes of items in it. Default: no limit but the segment's.
    QueueOptions &max_bytes(std::uint64_t bytes) noexcept { return options_.max_bytes = bytes, *this; }
    /// How many bytes of an item are kept in its cell; larger ones spill. Default 104, or max_item up to
    /// 4096.
    QueueOptions &inline_bytes(std::uint64_t bytes) noexcept { return options_.inline_bytes = bytes, *this; }

    /// What was taken and is not done is counted, for Queue::join.
    QueueOptions &joinable(bool yes = true) noexcept {
        return options_.flags = yes ? SHC_QUEUE_JOINABLE : 0, *this;
    }

    const shc_queue_options *native() const noexcept { return &options_; }

  private:
    shc_queue_options options_{};
};

/// A bounded first-in, first-out queue of byte strings, for any number of putters and getters.
class Queue {
  public:
    static Queue create(const Segment &segment, std::string_view name,
                        const QueueOptions &options = QueueOptions()) {
        return Queue(segment, [&](shc_segment *in, shc_queue **out) {
            return shc_queue_create(in, detail::Name(name), options.native(), out);
        });
    }
    static Queue open(const Segment &segment, std::string_view name) {
        return Queue(segment, [&](shc_segment *in, shc_queue **out) {
            return shc_queue_open(in, detail::Name(name), out);
        });
    }
    static Queue open_or_create(const Segment &segment, std::string_view name,
                                const QueueOptions &options = QueueOptions()) {
        return Queue(segment, [&](shc_segment *in, shc_queue **out) {
            return shc_queue_open_or_create(in, detail::Name(name), options.native(), out);
        });
    }

    /// Puts an item, waiting for room; throws SHC_CLOSED when the queue is shut down, SHC_ERR_TOO_LARGE,
    /// SHC_ERR_NO_SPACE or SHC_ERR_LIMIT_REACHED, and then nothing was put.
    void put(Bytes item) { detail::check(shc_queue_put(native(), item.data(), item.size(), detail::never)); }
    /// Puts an item if there is room.
    [[nodiscard]] Outcome try_put(Bytes item) { return put_within(item, detail::now); }
    /// Puts an item, waiting for room that long.
    template <class Rep, class Period>
    [[nodiscard]] Outcome put_for(Bytes item, const std::chrono::duration<Rep, Period> &duration) {
        return put_within(item, detail::timeout(duration));
    }
    /// Puts what the range holds (anything that Bytes can be made of) in order, waiting for room; how many
    /// were put, which are fewer if the queue was shut down meanwhile. Getters are woken once for all of
    /// them.
    template <class Range> std::size_t put_many(const Range &items) {
        const Result<std::size_t> done = put_many_within(items, detail::never);
        if (!done) detail::raise(done.outcome().status());
        return *done;
    }
    /// Puts as many as there is room for.
    template <class Range> [[nodiscard]] Result<std::size_t> try_put_many(const Range &items) {
        return put_many_within(items, detail::now);
    }
    /// Puts as many as there is room for in that time.
    template <class Range, class Rep, class Period> [[nodiscard]] Result<std::size_t>
    put_many_for(const Range &items, const std::chrono::duration<Rep, Period> &duration) {
        return put_many_within(items, detail::timeout(duration));
    }

    /// Gets the oldest item, waiting for one; nothing when the queue is shut down and empty.
    [[nodiscard]] Result<std::vector<std::byte>> get() { return get_within(detail::never); }
    /// Gets the oldest item if there is one.
    [[nodiscard]] Result<std::vector<std::byte>> try_get() { return get_within(detail::now); }
    /// Gets the oldest item, waiting for one that long.
    template <class Rep, class Period>
    [[nodiscard]] Result<std::vector<std::byte>> get_for(const std::chrono::duration<Rep, Period> &duration) {
        return get_within(detail::timeout(duration));
    }
    /// Gets up to `max` items that are there, waiting for the first; nothing when the queue is shut down and
    /// empty.
    [[nodiscard]] Result<std::vector<std::vector<std::byte>>> get_many(std::size_t max) {
        return get_many_within(max, detail::never);
    }
    /// Gets up to `max` items that are there.
    [[nodiscard]] Result<std::vector<std::vector<std::byte>>> try_get_many(std::size_t max) {
        return get_many_within(max, detail::now);
    }
    /// Gets up to `max` items that are there, waiting for the first that long.
    template <class Rep, class Period> [[nodiscard]] Result<std::vector<std::vector<std::byte>>>
    get_many_for(std::size_t max, const std::chrono::duration<Rep, Period> &duration) {
        return get_many_within(max, detail::timeout(duration));
    }

    /// Calls `take` with the bytes of up to `max` items where they lie, oldest first, waiting for the first;
    /// how many were got, or nothing when the queue is shut down and empty. `take` must not wait. It returns
    /// whether the item is got, or else it and those behind it stay; so they do when it throws, which comes
    /// out here.
    template <class Take> [[nodiscard]] Result<std::size_t> get_with(std::size_t max, Take &&take) {
        return get_with_within(max, detail::never, take);
    }
    /// The same with items that are there.
    template <class Take> [[nodiscard]] Result<std::size_t> try_get_with(std::size_t max, Take &&take) {
        return get_with_within(max, detail::now, take);
    }
    /// The same, waiting for the first that long.
    template <class Take, class Rep, class Period> [[nodiscard]] Result<std::size_t>
    get_with_for(std::size_t max, const std::chrono::duration<Rep, Period> &duration, Take &&take) {
        return get_with_within(max, detail::timeout(duration), take);
    }

    /// Takes the oldest item in place, waiting for one; nothing when the queue is shut down and empty. It
    /// costs one cell of the queue as long as it is held.
    [[nodiscard]] Result<Item> recv() { return detail::taken(native(), detail::never); }
    /// Takes the oldest item in place if there is one.
    [[nodiscard]] Result<Item> try_recv() { return detail::taken(native(), detail::now); }
    /// Takes the oldest item in place, waiting for one that long.
    template <class Rep, class Period>
    [[nodiscard]] Result<Item> recv_for(const std::chrono::duration<Rep, Period> &duration) {
        return detail::taken(native(), detail::timeout(duration));
    }

    /// A place for an item of up to `size` bytes, waiting for room; throws as put.
    Slot reserve(std::size_t size) {
        Result<Slot> slot = detail::reserved(native(), size, detail::never);
        if (!slot) detail::raise(slot.outcome().status());
        return std::move(*slot);
    }
    /// A place if there is room.
    [[nodiscard]] Result<Slot> try_reserve(std::size_t size) {
        return detail::reserved(native(), size, detail::now);
    }
    /// A place, waiting for room that long.
    template <class Rep, class Period> [[nodiscard]] Result<Slot>
    reserve_for(std::size_t size, const std::chrono::duration<Rep, Period> &duration) {
        return detail::reserved(native(), size, detail::timeout(duration));
    }

    /// How many items can be got at this moment.
    std::size_t qsize() const { return ask<std::size_t>(shc_queue_qsize); }
    /// Whether nothing can be got at this moment.
    bool empty() const { return ask<bool>(shc_queue_empty); }
    /// Whether a put would have to wait at this moment.
    bool full() const { return ask<bool>(shc_queue_full); }
    /// How many items it holds.
    std::size_t capacity() const { return ask<std::size_t>(shc_queue_capacity); }
    /// The largest item in bytes.
    std::uint64_t max_item() const { return ask<std::uint64_t>(shc_queue_max_item); }
    /// The most bytes that may be in it; UINT64_MAX when only items are counted.
    std::uint64_t max_bytes() const { return ask<std::uint64_t>(shc_queue_max_bytes); }
    /// Lets no more items in. Getters get what is left, then nothing; waiting putters are told.
    void shutdown() { detail::check(shc_queue_shutdown(native())); }
    /// Whether it was shut down.
    bool is_shutdown() const { return ask<bool>(shc_queue_is_shutdown); }

    /// Says that an item is done which this process got from a joinable queue, once for each get; throws
    /// SHC_ERR_NOT_HELD when there is none. One that recv gave is done when it is released.
    void task_done() { detail::check(shc_queue_task_done(native())); }
    /// Waits until every item that was put into a joinable queue is done.
    void join() const { detail::check(shc_queue_join(native(), detail::never)); }
    /// Waits for that so long; whether it came in time.
    template <class Rep, class Period>
    [[nodiscard]] bool join_for(const std::chrono::duration<Rep, Period> &duration) const {
        return bool(detail::outcome(shc_queue_join(native(), detail::timeout(duration))));
    }

    /// That an item can be got, or that the queue is shut down.
    Interest readable() const noexcept { return {SHC_QUEUE_READABLE, -1, native()}; }
    /// That an item can be put, or that the queue is shut down.
    Interest writable() const noexcept { return {SHC_QUEUE_WRITABLE, -1, native()}; }

    /// The handle for calls of C; NULL after a move.
    shc_queue *native() const noexcept { return handle_.get(); }

  private:
    template <class Call> Queue(const Segment &segment, Call call)
        : handle_(detail::make<shc_queue>(segment.attachment(), call)),
          joinable_(shc_queue_join(native(), detail::now) != SHC_ERR_UNSUPPORTED) {}

    template <class T, class Call> T ask(Call call) const {
        T out{};
        detail::check(call(native(), &out));
        return out;
    }

    Result<std::vector<std::byte>> get_within(std::int64_t timeout_ns) {
        return joinable_ ? detail::got(native(), timeout_ns) : detail::copied(native(), timeout_ns);
    }

    template <class Take>
    Result<std::size_t> get_with_within(std::size_t max, std::int64_t timeout_ns, Take &take) {
        detail::Taker<Take> taker{take, nullptr};
        std::size_t count = 0;
        const Outcome end = detail::outcome(
            shc_queue_get_with(native(), max, timeout_ns, detail::Taker<Take>::call, &taker, &count));
        if (taker.thrown) std::rethrow_exception(taker.thrown);
        if (!end) return end;
        return count;
    }

    Outcome put_within(Bytes item, std::int64_t timeout_ns) {
        return detail::outcome(shc_queue_put(native(), item.data(), item.size(), timeout_ns));
    }

    template <class Range> Result<std::size_t> put_many_within(const Range &items, std::int64_t timeout_ns) {
        static_assert(std::is_reference_v<decltype(*std::begin(items))>, "the items must lie somewhere");
        std::vector<shc_buffer> list;
        for (const auto &item : items) {
            const Bytes bytes(item);
            list.push_back({bytes.data(), bytes.size()});
        }
        std::size_t done = 0;
        const Outcome end =
            detail::outcome(shc_queue_put_many(native(), list.data(), list.size(), timeout_ns, &done));
        if (!end) return end;
        return done;
    }

    Result<std::vector<std::vector<std::byte>>> get_many_within(std::size_t max, std::int64_t timeout_ns) {
        std::vector<std::vector<std::byte>> items;
        while (items.size() < max) {
            auto item = get_within(items.empty() ? timeout_ns : detail::now);
            if (!item && items.empty()) return item.outcome();
            if (!item) break;
            items.push_back(std::move(*item));
        }
        return items;
    }

    detail::Handle<shc_queue> handle_;
    bool joinable_;
};

/// One of the two ends of a pipe.
enum class End : std::uint32_t {
    /// The first end; of a simplex pipe, the one that receives.
    a = SHC_END_A,
    /// The second end; of a simplex pipe, the one that sends.
    b = SHC_END_B,
};

/// How to create a pipe; see shc_pipe_options.
class PipeOptions {
  public:
    PipeOptions() noexcept { options_.struct_size = sizeof options_; }

    /// How many messages may be under way in a direction. Default 256.
    PipeOptions &capacity(std::uint64_t messages) noexcept { return options_.capacity = messages, *this; }
    /// How many bytes of a message are kept in its cell; larger ones spill. Default 104.
    PipeOptions &inline_bytes(std::uint64_t bytes) noexcept { return options_.inline_bytes = bytes, *this; }
    /// Whether both ends send and receive. Default true.
    PipeOptions &duplex(bool yes) noexcept { return options_.flags = yes ? 0 : SHC_PIPE_SIMPLEX, *this; }

    const shc_pipe_options *native() const noexcept { return &options_; }

  private:
    shc_pipe_options options_{};
};

/// One end of a pipe. When no process holds it any more, by closing or by dying, the other side is told.
class Pipe {
  public:
    /// Creates a pipe and opens its ends A and B.
    static std::pair<Pipe, Pipe> create(const Segment &segment, std::string_view name,
                                        const PipeOptions &options = {}) {
        shc_pipe *b = nullptr;
        Pipe first(segment, [&](shc_segment *in, shc_pipe **a) {
            return shc_pipe_create(in, detail::Name(name), options.native(), a, &b);
        });
        return {std::move(first), Pipe(detail::Handle<shc_pipe>(b, {segment.attachment()}))};
    }
    /// Opens one end; throws SHC_CLOSED when the other side has already seen its end-of-file.
    static Pipe open(const Segment &segment, std::string_view name, End end) {
        return Pipe(segment, [&](shc_segment *in, shc_pipe **out) {
            return shc_pipe_open(in, detail::Name(name), static_cast<std::uint32_t>(end), out);
        });
    }
    static Pipe open_or_create(const Segment &segment, std::string_view name, End end,
                               const PipeOptions &options = {}) {
        return Pipe(segment, [&](shc_segment *in, shc_pipe **out) {
            return shc_pipe_open_or_create(in, detail::Name(name), static_cast<std::uint32_t>(end),
                                           options.native(), out);
        });
    }

    /// Closes this end now, as destroying it would.
    void close() noexcept { handle_.reset(); }

    /// Sends a message, waiting for room; throws SHC_CLOSED when nobody holds the other end any more,
    /// SHC_ERR_UNSUPPORTED at an end that only receives, and then nothing was sent.
    void send(Bytes message) {
        detail::check(shc_pipe_send(native(), message.data(), message.size(), detail::never));
    }
    /// Sends a message if there is room.
    [[nodiscard]] Outcome try_send(Bytes message) { return send_within(message, detail::now); }
    /// Sends a message, waiting for room that long.
    template <class Rep, class Period>
    [[nodiscard]] Outcome send_for(Bytes message, const std::chrono::duration<Rep, Period> &duration) {
        return send_within(message, detail::timeout(duration));
    }

    /// Receives the next message, waiting for one; nothing at the end-of-file.
    [[nodiscard]] Result<std::vector<std::byte>> recv() { return detail::copied(native(), detail::never); }
    /// Receives the next message if there is one.
    [[nodiscard]] Result<std::vector<std::byte>> try_recv() { return detail::copied(native(), detail::now); }
    /// Receives the next message, waiting for one that long.
    template <class Rep, class Period> [[nodiscard]] Result<std::vector<std::byte>>
    recv_for(const std::chrono::duration<Rep, Period> &duration) {
        return detail::copied(native(), detail::timeout(duration));
    }
    /// Receives the next message into a buffer, waiting for one; its length, or nothing at the end-of-file.
    /// Throws SHC_ERR_BUFFER_TOO_SMALL, and the message is still there.
    [[nodiscard]] Result<std::size_t> recv_into(void *buffer, std::size_t size) {
        std::size_t length = 0;
        const Outcome end = detail::outcome(shc_pipe_recv(native(), buffer, size, detail::never, &length));
        if (!end) return end;
        return length;
    }

    /// Calls `take` with the bytes of the next message where they lie, waiting for one; whether it was
    /// received, or nothing at the end-of-file. `take` must not wait. It returns whether the message is
    /// received, or else it stays; so it does when `take` throws, which comes out here.
    template <class Take> [[nodiscard]] Result<bool> recv_with(Take &&take) {
        return recv_with_within(detail::never, take);
    }
    /// The same with a message that is there.
    template <class Take> [[nodiscard]] Result<bool> try_recv_with(Take &&take) {
        return recv_with_within(detail::now, take);
    }
    /// The same, waiting for one that long.
    template <class Take, class Rep, class Period> [[nodiscard]] Result<bool>
    recv_with_for(const std::chrono::duration<Rep, Period> &duration, Take &&take) {
        return recv_with_within(detail::timeout(duration), take);
    }

    /// Takes the next message in place, waiting for one; nothing at the end-of-file.
    [[nodiscard]] Result<Message> recv_in_place() { return detail::taken(native(), detail::never); }
    /// Takes the next message in place if there is one.
    [[nodiscard]] Result<Message> try_recv_in_place() { return detail::taken(native(), detail::now); }
    /// Takes the next message in place, waiting for one that long.
    template <class Rep, class Period>
    [[nodiscard]] Result<Message> recv_in_place_for(const std::chrono::duration<Rep, Period> &duration) {
        return detail::taken(native(), detail::timeout(duration));
    }

    /// A place for a message of up to `size` bytes, waiting for room; throws as send.
    MessageSlot reserve(std::size_t size) {
        Result<MessageSlot> slot = detail::reserved(native(), size, detail::never);
        if (!slot) detail::raise(slot.outcome().status());
        return std::move(*slot);
    }
    /// A place if there is room.
    [[nodiscard]] Result<MessageSlot> try_reserve(std::size_t size) {
        return detail::reserved(native(), size, detail::now);
    }
    /// A place, waiting for room that long.
    template <class Rep, class Period> [[nodiscard]] Result<MessageSlot>
    reserve_for(std::size_t size, const std::chrono::duration<Rep, Period> &duration) {
        return detail::reserved(native(), size, detail::timeout(duration));
    }

    /// Whether a message can be received, or the end-of-file, at this moment.
    bool poll() { return poll_within(detail::now); }
    /// Waits for that; whether it came in time.
    template <class Rep, class Period> bool poll_for(const std::chrono::duration<Rep, Period> &duration) {
        return poll_within(detail::timeout(duration));
    }
    /// Whether this end can send.
    bool can_send() const { return ask(shc_pipe_can_send); }
    /// Whether this end can receive.
    bool can_recv() const { return ask(shc_pipe_can_recv); }
    /// Whether messages go both ways.
    bool is_duplex() const { return ask(shc_pipe_is_duplex); }

    /// That a message can be received, or the end-of-file.
    Interest readable() const noexcept { return {SHC_PIPE_READABLE, -1, native()}; }
    /// That a message can be sent.
    Interest writable() const noexcept { return {SHC_PIPE_WRITABLE, -1, native()}; }

    /// The handle for calls of C; NULL after close() or a move.
    shc_pipe *native() const noexcept { return handle_.get(); }

  private:
    explicit Pipe(detail::Handle<shc_pipe> handle) noexcept : handle_(std::move(handle)) {}
    template <class Call> Pipe(const Segment &segment, Call call)
        : handle_(detail::make<shc_pipe>(segment.attachment(), call)) {}

    template <class Call> bool ask(Call call) const {
        bool out = false;
        detail::check(call(native(), &out));
        return out;
    }

    Outcome send_within(Bytes message, std::int64_t timeout_ns) {
        return detail::outcome(shc_pipe_send(native(), message.data(), message.size(), timeout_ns));
    }

    template <class Take> Result<bool> recv_with_within(std::int64_t timeout_ns, Take &take) {
        detail::Taker<Take> taker{take, nullptr};
        bool received = false;
        const Outcome end = detail::outcome(
            shc_pipe_recv_with(native(), timeout_ns, detail::Taker<Take>::call, &taker, &received));
        if (taker.thrown) std::rethrow_exception(taker.thrown);
        if (!end) return end;
        return received;
    }

    bool poll_within(std::int64_t timeout_ns) {
        bool out = false;
        detail::check(shc_pipe_poll(native(), timeout_ns, &out));
        return out;
    }

    detail::Handle<shc_pipe> handle_;
};

namespace detail {

inline std::vector<shc_interest> interests(const std::vector<Interest> &list) {
    std::vector<shc_interest> all;
    for (const Interest &interest : list) all.push_back(interest.native());
    return all;
}

inline std::vector<std::size_t> ready(const std::vector<Interest> &list, std::int64_t timeout_ns) {
    const std::vector<shc_interest> all = interests(list);
    const std::unique_ptr<bool[]> is(new bool[all.size()]());
    std::vector<std::size_t> found;
    if (!outcome(shc_wait_any(all.data(), all.size(), timeout_ns, is.get()))) return found;
    for (std::size_t i = 0; i < all.size(); i++)
        if (is[i]) found.push_back(i);
    return found;
}

} // namespace detail

/// Waits until any of these is ready; the indices of those that are. Nothing is taken: somebody else may be
/// faster. At most 127 may be objects.
inline std::vector<std::size_t> wait_any(const std::vector<Interest> &interests) {
    return detail::ready(interests, detail::never);
}
/// Which are ready at this moment.
[[nodiscard]] inline std::vector<std::size_t> try_wait_any(const std::vector<Interest> &interests) {
    return detail::ready(interests, detail::now);
}
/// Waits that long; none when the time is up.
template <class Rep, class Period> [[nodiscard]] std::vector<std::size_t>
wait_any_for(const std::vector<Interest> &interests, const std::chrono::duration<Rep, Period> &duration) {
    return detail::ready(interests, detail::timeout(duration));
}

/// A descriptor for loops of other people's (epoll, asio, libuv) that becomes readable when an object may
/// have become ready. While it is armed a thread of the library sleeps for it, one for all.
class Bell {
  public:
    Bell() {
        shc_bell *bell = nullptr;
        detail::check(shc_bell_create(&bell));
        handle_.reset(bell);
    }

    /// The descriptor, which is closed with the bell.
    int fd() const {
        std::int32_t fd = -1;
        detail::check(shc_bell_fd(native(), &fd));
        return fd;
    }
    /// Lets the bell ring, once, when any of these may have become ready; at once, if one is. It may ring in
    /// vain. Descriptors among them do not count.
    void arm(const std::vector<Interest> &interests) {
        const std::vector<shc_interest> all = detail::interests(interests);
        detail::check(shc_bell_arm(native(), all.data(), all.size()));
    }
    /// Makes the descriptor unreadable again.
    void clear() { detail::check(shc_bell_clear(native())); }

    /// The handle for calls of C; NULL after a move.
    shc_bell *native() const noexcept { return handle_.get(); }

  private:
    struct Close {
        void operator()(shc_bell *bell) const noexcept { shc_bell_close(bell); }
    };

    std::unique_ptr<shc_bell, Close> handle_;
};

} // namespace sharecell

#endif
