# shellcheck shell=bash
# PostgreSQL's own regression tests, for run.sh and regress.sh: out of the source package of the machine's
# repositories, with the library that they need compiled against the headers of the same package.
#
# Nothing is installed. The lists, the packages and what comes of them stand below cargo's folder, and
# the machine's own lists are only read, so root is not needed.

# The package manager with lists of its own.
apt_apart() {
    local program=$1
    shift
    "$program" -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$apart/parts" \
        -o "Dir::State::Lists=$apart/lists" -o "Dir::Cache=$apart/cache" "$@"
}

# The machine's repositories, with their sources.
list_sources() {
    local file name
    mkdir -p "$apart/parts" "$apart/lists/partial" "$apart/cache/archives/partial" || return 1
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
        name=$apart/parts/${file##*/}
        case $file in
            *.sources) sed 's/^Types:.*/Types: deb deb-src/' "$file" >"$name" || return 1 ;;
            *.list) [ ! -e "$file" ] || sed -n 's/^deb //p' "$file" |
                sed 's/.*/deb &\ndeb-src &/' >"$name" || return 1 ;;
        esac
    done
    # A repository that has no sources, or does not answer, may be one that is not needed.
    quietly apt_apart apt-get update || true
}

# Runs apt-get with each version of a package that is listed, the server's own first and then from the
# newest down, until it works: a mirror may list what it does not have.
# get_package PACKAGE VERSION COMMAND…
get_package() {
    local package=$1 wanted=$2 listed version before=$tried
    shift 2
    listed=$({
        apt_apart apt-cache showsrc --only-source "$package"
        apt_apart apt-cache show "$package"
    } 2>/dev/null | sed -n 's/^Version: //p' | sort -ruV)
    for version in $(grep "^$wanted-" <<<"$listed") $listed; do
        if quietly apt_apart apt-get "$@" "$package=$version"; then
            tried=$before
            return
        fi
    done
    note "no version of $package can be had"
    return 1
}

# Leaves in `found` a folder with `regress`, the tests; `lib`, their library; and `pg_regress`, which
# runs them.
regression_tests() {
    local bin=$PGRECONCILE_PG_BIN version major home pgxs
    version=$("$bin/postgres" --version | sed 's/^[^0-9]*\([0-9.]*\).*/\1/')
    major=${version%%.*}
    if ! has apt-get || ! has dpkg-deb || ! has cc; then
        note 'there is no apt-get, dpkg-deb or cc'
        return 1
    fi
    pgxs=$("$bin/pg_config" --pgxs 2>/dev/null) && pgxs=${pgxs%/makefiles/*}/test/regress/pg_regress
    if [ ! -x "$pgxs" ]; then
        note "$bin came without pg_regress"
        return 1
    fi
    private_folder "regress-$version" || return 1
    home=$found
    if [ ! -e "$home/lib/regress.so" ]; then
        say "getting the source of PostgreSQL $version"
        rm -rf "${home:?}"/*
        apart=$home/apart
        list_sources && mkdir -p "$home/lib" "$apart/source" "$apart/headers" || return 1
        # apt-get leaves what it gets where it stands.
        cd "$apart" && get_package "postgresql-$major" "$version" source --download-only &&
            get_package "postgresql-server-dev-$major" "$version" download &&
            cd "$repository" || { cd "$repository" && return 1; }
        tar xf "$apart/postgresql-${major}"_*.orig.tar.* -C "$apart/source" --strip-components=1 --wildcards '*/src/test/regress' &&
            dpkg-deb -x "$apart"/postgresql-server-dev-*.deb "$apart/headers" &&
            mv "$apart/source/src/test/regress" "$home/" &&
            cp "$("$bin/pg_config" --pkglibdir)"/{autoinc,refint}.so "$home/lib/" &&
            ln -s "$pgxs" "$home/pg_regress" || return 1
        # The library last: where it stands, everything does.
        quietly cc -O1 -shared -fPIC -I "$apart/headers/usr/include/postgresql/$major/server" \
            -I "$("$bin/pg_config" --includedir)/internal" -o "$home/lib/regress.so" \
            "$home/regress/regress.c" || return 1
        rm -rf "$apart"
        chmod -R go+rX "$home" || return 1
    fi
    found=$home
}
